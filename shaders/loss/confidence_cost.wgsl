// The cost that MI-Face minimises (Fredrikson et al., CCS 2015, algorithm 1) and its gradient with respect to the logits x,
// for p = softmax(x) and the attacked class c = targets[r]; rows are independent attacks, so nothing is averaged:
//   COST_KIND 0: cost = 1 - p_c,    dx_j = p_c (p_j - [j = c])
//   COST_KIND 1: cost = -log p_c,   dx_j = p_j - [j = c]
// -log p_c comes from the logits and never underflows.
// x, dx: ROWS x COLUMNS, stride STRIDE; pads of dx are written zero. targets: ROWS u32 below COLUMNS.
// results: ROWS x (cost, confidence p_c). One invocation per row.
// Bindings: x, targets, dx, results. Launched by recordConfidenceCost (src/kernels/loss.ts).
#include "loss/row_softmax.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> results: array<vec2f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let first = row * (STRIDE / 4u);
  let class_index = targets[row];
  let largest = row_max(row);
  let sum = row_exp_sum(row, largest);
  let class_logit = x[first + class_index / 4u][class_index % 4u];
  let confidence = exp(class_logit - largest) / sum;

  var cost = 1.0 - confidence;
  var scale = confidence;
  if (COST_KIND == 1u) {
    scale = 1.0;
    cost = log(sum) - (class_logit - largest);
  }
  for (var i = 0u; i < STRIDE / 4u; i++) {
    let column = vec4u(i * 4u) + vec4u(0u, 1u, 2u, 3u);
    let one_hot = select(vec4f(), vec4f(1.0), column == vec4u(class_index));
    dx[first + i] = scale * (row_exp(row, i, largest) / sum - one_hot);
  }
  results[row] = vec2f(cost, confidence);
}
