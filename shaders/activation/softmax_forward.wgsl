// y = softmax(x) of every row, or with LOG its logarithm, x - largest - log(sum of exp(x - largest)).
// x, y: ROWS x COLUMNS, stride STRIDE; pads of y are written zero. One invocation per row.
// Bindings: x, y. Launched by recordSoftmaxForward (src/kernels/softmax.ts). Reference: src/reference/softmax.ts.
#include "loss/row_softmax.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let first = row * (STRIDE / 4u);
  let largest = row_max(row);
  let sum = row_exp_sum(row, largest);
  let log_sum = log(sum);
  for (var i = 0u; i < STRIDE / 4u; i++) {
    if (LOG) {
      y[first + i] = select(vec4f(), (x[first + i] - largest) - log_sum, in_row(i * 4u));
    } else {
      y[first + i] = row_exp(row, i, largest) / sum;
    }
  }
}
