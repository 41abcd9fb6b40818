// y[r, j] = exp(x[r, j] - m) / sum_k exp(x[r, k] - m), m = max_k x[r, k].
// x, y: ROWS x COLUMNS, stride STRIDE; pads of y are written zero. One invocation a row.
// Bindings: x, y. Launched by recordSoftmaxForward (src/kernels/softmax.ts).
#include "loss/row_softmax.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let largest = row_max(row);
  let sum = row_exp_sum(row, largest);
  for (var i = 0u; i < STRIDE / 4u; i++) {
    y[row * (STRIDE / 4u) + i] = row_exp(row, i, largest) / sum;
  }
}
