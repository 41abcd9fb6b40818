// dx = dy * act'(x), with act' computed from the output y = act(x). The slot `function` is common/activation.wgsl,
// activation/clip.wgsl or activation/leaky_relu.wgsl.
// y, dy, dx: ROWS x COLUMNS, stride STRIDE; pads of dy are zero, so those of dx are. One invocation per vec4.
// Bindings: y, dy, dx. Launched by recordActivationBackward (src/kernels/activation.ts).
#include <function>

@group(0) @binding(0) var<storage, read> y: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  dx[i] = dy[i] * activation_slope(y[i]);
}
