// y = act(x), element by element; act is chosen by ACTIVATION (common/activation.wgsl).
// x, y: ROWS x COLUMNS, stride STRIDE; pads of y are written zero. One invocation a vec4.
// Bindings: x, y. Launched by recordActivationForward (src/kernels/activation.ts).
#include "common/activation.wgsl"
#include "common/columns.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  y[i] = select(vec4f(), activate(x[i]), in_row(i % (STRIDE / 4u) * 4u));
}
