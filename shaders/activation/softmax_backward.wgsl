// The gradient of a softmax of every row from its output y: dx = y (dy - sum of dy y). With LOG, where y is the log-softmax,
// dx = dy - exp(y) sum of dy. Sums are in column order.
// y, dy, dx: ROWS x COLUMNS, stride STRIDE; pads of y and dy are zero, those of dx are written zero. One invocation per row.
// Bindings: y, dy, dx. Launched by recordSoftmaxBackward (src/kernels/softmax.ts). Reference: src/reference/softmax.ts.
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
  for (var i = 0u; i < STRIDE / 4u; i++) {
    if (LOG) { sums += dy[first + i]; } else { sums += dy[first + i] * y[first + i]; }
  }
  let sum = (sums.x + sums.y) + (sums.z + sums.w);
  for (var i = 0u; i < STRIDE / 4u; i++) {
    let value = y[first + i];
    var gradient = dy[first + i];
    if (LOG) { gradient -= exp(value) * sum; } else { gradient = value * (gradient - sum); }
    dx[first + i] = select(vec4f(), gradient, in_row(i * 4u));
  }
}
