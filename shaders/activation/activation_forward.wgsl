// y = act(x), the activation as a layer of its own. The slot `function` is common/activation.wgsl, activation/clip.wgsl or
// activation/leaky_relu.wgsl.
// x, y: ROWS x COLUMNS, stride STRIDE; pads of y are written zero, because act(0) need not be. One invocation per vec4.
// Bindings: x, y. Launched by recordActivationForward (src/kernels/activation.ts).
#include "common/columns.wgsl"
#include <function>

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  y[i] = select(vec4f(), activate(x[i]), in_row(i % (STRIDE / 4u) * 4u));
}
