// dx[r, j] = dy[r, j] - exp(y[r, j]) * sum_k dy[r, k], with y = log_softmax(x).
// y, dy, dx: ROWS x COLUMNS, stride STRIDE; pads of dx are written zero. One invocation a row.
// Bindings: y, dy, dx. Launched by recordLogSoftmaxBackward (src/kernels/softmax.ts).
#include "common/columns.wgsl"

@group(0) @binding(0) var<storage, read> y: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let first = row * (STRIDE / 4u);
  var sums = vec4f();
  for (var i = 0u; i < STRIDE / 4u; i++) { sums += dy[first + i]; }
  let sum = (sums.x + sums.y) + (sums.z + sums.w);
  for (var i = 0u; i < STRIDE / 4u; i++) {
    let at = first + i;
    dx[at] = select(vec4f(), dy[at] - exp(y[at]) * sum, in_row(i * 4u));
  }
}
