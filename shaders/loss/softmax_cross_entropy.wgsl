// Cross-entropy of softmax(x) with one class per row, and its gradient for the mean over rows:
//   loss[r] = -log p[r, t], dx[r, j] = (p[r, j] - [j = t]) / ROWS, p = softmax(x), t = targets[r]
// With SMOOTHING = a other than 0 the target is not one class but the distribution q[j] = (1 - a) [j = t] + a / COLUMNS, in
// which a may be negative (Struppek et al., ICLR 2024): loss[r] = -sum_j q[j] log p[r, j], dx[r, j] = (p[r, j] - q[j]) / ROWS
//   correct[r] = 1 when t is the first of the largest logits of its row and every logit of the row is finite, else 0
// x, dx: ROWS x COLUMNS, stride STRIDE; pads of dx are written zero. targets: ROWS u32 below COLUMNS.
// results: ROWS x (loss, correct). One invocation per row.
// Bindings: x, targets, dx, results. Launched by recordSoftmaxCrossEntropy (src/kernels/loss.ts).
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
  let target_class = targets[row];
  let target_logit = x[first + target_class / 4u][target_class % 4u];
  let largest = row_max(row);
  let sum = row_exp_sum(row, largest);

  // -sum_j q[j] log p[r, j] = -log p[r, t] + a (x[r, t] - mean_j x[r, j]), because the q[j] add up to 1.
  var off = 0.0;
  var on = 1.0;
  var smoothed = 0.0;
  if (SMOOTHING != 0.0) {
    off = SMOOTHING / f32(COLUMNS);
    on = 1.0 - SMOOTHING + off;
    var total = vec4f();
    for (var i = 0u; i < ROW_VECTORS; i++) { total += select(vec4f(), x[first + i] - target_logit, in_row(i * 4u)); }
    smoothed = -off * horizontal_sum(total);
  }

  // A row is wrong when a class beats the target or is not finite. Approximate float weights can yield NaN, which only its
  // bits reveal, because WGSL may assume that there is no NaN in comparisons.
  var beaten = vec4<bool>();
  for (var i = 0u; i < STRIDE / 4u; i++) {
    let column = vec4u(i * 4u) + vec4u(0u, 1u, 2u, 3u);
    let logit = x[first + i];
    let finite = (bitcast<vec4u>(logit) & vec4u(0x7f800000u)) != vec4u(0x7f800000u);
    let ahead = (logit > vec4f(target_logit)) | ((logit == vec4f(target_logit)) & (column < vec4u(target_class)));
    beaten |= in_row(i * 4u) & (ahead | !finite);
    let label = select(select(vec4f(), vec4f(off), in_row(i * 4u)), vec4f(on), column == vec4u(target_class));
    dx[first + i] = (row_exp(row, i, largest) / sum - label) * (1.0 / f32(ROWS));
  }
  results[row] = vec2f(log(sum) - (target_logit - largest) + smoothed, select(1.0, 0.0, any(beaten)));
}
