// y[r, c] = (x[r, c] - mean[c]) / deviation[c]. With means of zero and the gradient of y as x this is the backward pass.
// x, y: ROWS x COLUMNS, stride STRIDE; pads of y are written zero. constants: the means, then the deviations, 2 x COLUMNS,
// stride CONSTANTS_STRIDE. One invocation per vec4.
// Bindings: x, constants, y. Launched by recordNormalise (src/kernels/normalise.ts).
#include "common/columns.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> constants: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let column = i % (STRIDE / 4u);
  let inside = in_row(column * 4u);
  let deviation = select(vec4f(1.0), constants[CONSTANTS_STRIDE / 4u + column], inside);
  y[i] = select(vec4f(), (x[i] - constants[column]) / deviation, inside);
}
