// The divisor of average pooling, as in PyTorch and ONNX: the number of pixels of a window that lie in the image, or with
// COUNT_INCLUDE_PAD those that lie in the padded image, which has PADDING_RIGHT and PADDING_BOTTOM pixels after the image.
#include "pool/windows.wgsl"

// @param corner where the window begins in the padded image
fn window_pixels(corner: vec2u) -> f32 {
  let after_image = vec2u(WIDTH, HEIGHT) + PADDING;
  var first = max(corner, PADDING);
  var last = min(corner + KERNEL_SIZE, after_image);
  if (COUNT_INCLUDE_PAD) {
    first = corner;
    last = min(corner + KERNEL_SIZE, after_image + vec2u(PADDING_RIGHT, PADDING_BOTTOM));
  }
  let size = last - first;
  return f32(size.x * size.y);
}
