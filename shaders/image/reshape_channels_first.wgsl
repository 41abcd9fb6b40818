// Images of another shape whose values are the same in the order channels, height, width: value i of an image in that order
// lies at pixel i % PIXELS and channel i / PIXELS of y, and at pixel i % X_PIXELS and channel i / X_PIXELS of x.
// x: X_PIXELS rows per image, stride X_STRIDE. y: PIXELS rows per image, ROWS x COLUMNS in all, stride STRIDE; pads are
// written zero. One invocation writes four channels of a pixel. Elements are copied as u32, so that no bit changes.
// Bindings: x, y. Launched by recordReshapeChannelsFirst (src/kernels/reshape_channels_first.ts).
#include "common/columns.wgsl"

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x + id.y * GRID_WIDTH;
  if (at >= ROWS * (STRIDE / 4u)) { return; }
  let row = at / (STRIDE / 4u);
  let column = at % (STRIDE / 4u) * 4u;
  let i = (vec4u(column) + vec4u(0u, 1u, 2u, 3u)) * PIXELS + row % PIXELS;
  let source_at = (row / PIXELS * X_PIXELS + i % X_PIXELS) * X_STRIDE + i / X_PIXELS;
  // Pad elements would read other images, or beyond the last one.
  let inside = in_row(column);
  let keep = select(vec4u(), source_at, inside);
  y[at] = select(vec4u(), vec4u(x[keep.x], x[keep.y], x[keep.z], x[keep.w]), inside);
}
