// Copies channels between batches of images of different sizes: y[n, py, px, TO_CHANNEL + c] = x[n, py + TOP, px + LEFT,
// FROM_CHANNEL + c] for 0 <= c < CHANNELS and every pixel of y, or FILL (the bits of an f32) where that lies outside the
// image x. TOP and LEFT are taken modulo 2^32, because they may be negative.
// x: images of X_HEIGHT x X_WIDTH, stride X_STRIDE. y: ROWS = batch * HEIGHT * WIDTH pixels, stride STRIDE. Of every pixel
// SPAN elements from TO_CHANNEL on are written, those after CHANNELS with zeros. Values are moved as bits. One invocation per
// Element of y, which the slot `element` makes four channels or one (image/element_vec4.wgsl, image/element_scalar.wgsl).
// Bindings: x, y. Launched by recordCopyWindow (src/kernels/copy_window.ts). Reference: src/reference/copy_window.ts.
#include <element>

@group(0) @binding(0) var<storage, read> x: array<Element>;
@group(0) @binding(1) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (SPAN / LANES)) { return; }
  let pixel = i / (SPAN / LANES);
  let channel = i % (SPAN / LANES) * LANES;
  // Positions before the image wrap around to large numbers.
  let at = vec2u(pixel % WIDTH, pixel / WIDTH % HEIGHT) + vec2u(LEFT, TOP);
  var value = Element(FILL);
  if (all(at < vec2u(X_WIDTH, X_HEIGHT)) && channel < CHANNELS) {
    let row = (pixel / (WIDTH * HEIGHT) * X_HEIGHT + at.y) * X_WIDTH + at.x;
    value = x[(row * X_STRIDE + FROM_CHANNEL + channel) / LANES];
  }
  y[(pixel * STRIDE + TO_CHANNEL + channel) / LANES] = below(value, channel, CHANNELS);
}
