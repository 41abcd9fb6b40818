// y = act(a + b), or with ACCUMULATE y = act(y + b), element by element.
// a, b, y: ROWS x COLUMNS, stride STRIDE; pads of y are written zero, because act(0) need not be. One invocation per vec4.
// Bindings: a (not read with ACCUMULATE), b, y. Launched by recordAdd (src/kernels/add.ts).
#include "common/activation.wgsl"
#include "common/columns.wgsl"

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  var sum: vec4f;
  if (ACCUMULATE) { sum = y[i] + b[i]; } else { sum = a[i] + b[i]; }
  y[i] = select(vec4f(), activate(sum), in_row(i % (STRIDE / 4u) * 4u));
}
