// The taps of a convolution whose kernel, stride, dilation and padding may differ between the axes. A pixel of C sums over
// the pixels of A that the taps meet. Vectors are (vertical, horizontal).
//   forward:    C is the small side; pixel q meets pixel q STRIDE + tap DILATION - PADDING of A.
//   TRANSPOSED: C is the large side; pixel p meets pixel (p + PADDING - tap DILATION) / STRIDE of A, if it is whole.
// With TRANSPOSED, the pixels of C fall into STRIDE x STRIDE classes by p modulo STRIDE. The taps that meet pixels of A are
// the same for all pixels of a class: a first one and then every TAP_STEP-th. A forward convolution has one class.
// On both sides, pixel q of a class meets at its j-th tap pixel origin + q GRID_STEP + j TAP_MOVE of A.
// Needs KERNEL_Y, STRIDE_Y, DILATION_Y, PADDING_Y (before the first pixel), PERIOD_Y, INVERSE_Y, the same for X, TRANSPOSED,
// C_HEIGHT and C_WIDTH. PERIOD is the greatest common divisor of stride and dilation, and INVERSE the inverse of
// DILATION / PERIOD modulo STRIDE / PERIOD.
const KERNEL = vec2u(KERNEL_Y, KERNEL_X);
const STRIDE = vec2u(STRIDE_Y, STRIDE_X);
const DILATION = vec2u(DILATION_Y, DILATION_X);
const PADDING = vec2u(PADDING_Y, PADDING_X);
const PERIOD = vec2u(PERIOD_Y, PERIOD_X);
const INVERSE = vec2u(INVERSE_Y, INVERSE_X);

const PIXEL_STEP = select(vec2u(1u), STRIDE, TRANSPOSED);
const GRID_STEP = select(STRIDE, vec2u(1u), TRANSPOSED);
const TAP_STEP = select(vec2u(1u), STRIDE / PERIOD, TRANSPOSED);
const TAP_MOVE = select(vec2i(DILATION), -vec2i(DILATION / PERIOD), TRANSPOSED);

struct PixelClass {
  first_tap: vec2u,
  taps: vec2u,    // their number along each axis; 0 if no tap meets a pixel
  first: vec2u,   // first pixel of C; the others follow in steps of PIXEL_STEP
  size: vec2u,    // number of pixels along each axis
  origin: vec2i,  // pixel of A that `first` meets at the first tap
}

fn pixel_class(number: u32) -> PixelClass {
  if (!TRANSPOSED) { return PixelClass(vec2u(), KERNEL, vec2u(), vec2u(C_HEIGHT, C_WIDTH), -vec2i(PADDING)); }
  let first = vec2u(number / STRIDE_X, number % STRIDE_X);
  let size = (vec2u(C_HEIGHT, C_WIDTH) + (STRIDE - 1u) - first) / STRIDE;
  let at = first + PADDING;
  // The least tap with tap DILATION = at modulo STRIDE.
  let tap = select(KERNEL, at / PERIOD * INVERSE % TAP_STEP, at % PERIOD == vec2u());
  let taps = (KERNEL + (TAP_STEP - 1u) - min(tap, KERNEL)) / TAP_STEP;
  return PixelClass(tap, taps, first, size, (vec2i(at) - vec2i(tap * DILATION)) / vec2i(STRIDE));
}

// The pixel of C, over all images, at row and column q of a class.
fn pixel_of_c(class_of_c: PixelClass, image: u32, q: vec2u) -> u32 {
  let at = class_of_c.first + q * PIXEL_STEP;
  return (image * C_HEIGHT + at.x) * C_WIDTH + at.y;
}
