// The common part of convolutions of images of one channel. An invocation computes four adjacent output pixels x up to
// eight output channels, reads every value of x that the four meet in a kernel row once, and keeps one value per tap and
// channel (a weight or a sum) in registers. Kernels have up to 4 x 4 taps, the stride is 1 or 2.
// Needs KERNEL, STRIDE, PADDING, X_HEIGHT, X_WIDTH, PIXEL (f32 from pixel to pixel), ZERO_ROW and load_x(i: u32) -> f32.

// For every kernel row (0 .. 3) and each four of the eight output channels (a, b): [kx] holds four channels at that tap.
struct Taps {
  a0: mat4x4f, b0: mat4x4f,
  a1: mat4x4f, b1: mat4x4f,
  a2: mat4x4f, b2: mat4x4f,
  a3: mat4x4f, b3: mat4x4f,
}

// Number of values of a line of x that four output pixels meet.
const SPAN: u32 = 3u * STRIDE + KERNEL;

// The line of x that kernel row ky reads for output pixels from (oy, ox) on.
struct Line {
  at: u32,  // f32 index of the first pixel of x, which may lie outside
  x: u32,   // that pixel in its line
  inside: bool,
}

fn line_met(image: u32, oy: u32, ox: u32, ky: u32) -> Line {
  let y = oy * STRIDE + ky - PADDING;
  let x = ox * STRIDE - PADDING;
  return Line(((image * X_HEIGHT + y) * X_WIDTH + x) * PIXEL, x, y < X_HEIGHT);
}

fn load_pixel(line: Line, i: u32) -> f32 {
  return load_x(select(ZERO_ROW * PIXEL, line.at + i * PIXEL, line.inside & (line.x + i < X_WIDTH)));
}

// [i] holds the values that output pixel i meets at the taps of a kernel row; after the last tap, arbitrary numbers.
fn load_taps(line: Line) -> mat4x4f {
  let x0 = load_pixel(line, 0u);
  let x1 = load_pixel(line, 1u);
  let x2 = load_pixel(line, 2u);
  let x3 = load_pixel(line, 3u);
  var x4 = 0.0;
  var x5 = 0.0;
  var x6 = 0.0;
  var x7 = 0.0;
  var x8 = 0.0;
  var x9 = 0.0;
  if (SPAN > 4u) { x4 = load_pixel(line, 4u); }
  if (SPAN > 5u) { x5 = load_pixel(line, 5u); }
  if (SPAN > 6u) { x6 = load_pixel(line, 6u); }
  if (SPAN > 7u) { x7 = load_pixel(line, 7u); }
  if (SPAN > 8u) { x8 = load_pixel(line, 8u); }
  if (SPAN > 9u) { x9 = load_pixel(line, 9u); }
  if (STRIDE == 1u) { return mat4x4f(x0, x1, x2, x3, x1, x2, x3, x4, x2, x3, x4, x5, x3, x4, x5, x6); }
  return mat4x4f(x0, x1, x2, x3, x2, x3, x4, x5, x4, x5, x6, x7, x6, x7, x8, x9);
}
