// The common part of conv2d_depthwise_*, whose channels are convolved separately, four at a time: kernels of up to 5 x 5
// taps, strides 1 and 2, no dilation. An invocation covers STRIP adjacent pixels of a line, and reads every pixel of A that
// they meet in a kernel row once.
// Needs A_HEIGHT, A_WIDTH, STRIDE_A, ZERO_ROW, the array `a`, and what conv/windows.wgsl needs.
#include "conv/windows.wgsl"

const STRIP: u32 = 4u;
// Most taps of a class. Positions of taps run in the order of the pixels of A; with TRANSPOSED, taps run backwards.
const TAPS: vec2u = (KERNEL + (TAP_STEP - 1u)) / TAP_STEP;
// Pixels of A from one pixel of a line to the next.
const STEP: u32 = GRID_STEP.y;
// Number of pixels of a line of A that a strip meets.
const SPAN: u32 = (STRIP - 1u) * STEP + TAPS.y;
alias Span = array<vec4f, 11>;
const_assert all(TAPS <= vec2u(5u)) && all(GRID_STEP <= vec2u(2u)) && all(TAP_MOVE == vec2i(select(1, -1, TRANSPOSED)));

// Values of a kernel row: weights or sums, for four channels.
struct Row {
  t0: vec4f, t1: vec4f, t2: vec4f, t3: vec4f, t4: vec4f,
}

struct Line {
  at: u32,  // vec4 index of its first pixel, which may lie outside
  x: i32,   // that pixel in the line
  zeros: u32,
  inside: bool,
}

// Four channels of the pixels of image `image` from (y, x) on.
fn line_of_a(image: u32, y: i32, x: i32, channel4: u32) -> Line {
  let at = (i32(image * A_HEIGHT) + y) * i32(A_WIDTH) + x;
  let zeros = ZERO_ROW * (STRIDE_A / 4u) + channel4;
  return Line(bitcast<u32>(at) * (STRIDE_A / 4u) + channel4, x, zeros, bitcast<u32>(y) < A_HEIGHT);
}

fn load_pixel(line: Line, i: u32) -> vec4f {
  let inside = line.inside & (bitcast<u32>(line.x + i32(i)) < A_WIDTH);
  return a[select(line.zeros, line.at + i * (STRIDE_A / 4u), inside)];
}

fn load_span(line: Line) -> Span {
  var x: Span;
  x[0] = load_pixel(line, 0u);
  x[1] = load_pixel(line, 1u);
  x[2] = load_pixel(line, 2u);
  x[3] = load_pixel(line, 3u);
  if (SPAN > 4u) { x[4] = load_pixel(line, 4u); }
  if (SPAN > 5u) { x[5] = load_pixel(line, 5u); }
  if (SPAN > 6u) { x[6] = load_pixel(line, 6u); }
  if (SPAN > 7u) { x[7] = load_pixel(line, 7u); }
  if (SPAN > 8u) { x[8] = load_pixel(line, 8u); }
  if (SPAN > 9u) { x[9] = load_pixel(line, 9u); }
  if (SPAN > 10u) { x[10] = load_pixel(line, 10u); }
  return x;
}
