// The common part of conv2d_depthwise_forward, conv2d_depthwise_input_gradient and their approximate variants. One
// invocation computes two adjacent lines of 8 pixels of one class (conv/windows.wgsl) x 4 channels; the lines share the
// lines of A that both meet. Invocations run over channels, strips, lines and images.
// Needs open_weights(channel, image) and weight_at(channel, tap), the weights of channels channel .. channel + 3; and N,
// STRIDE_C, IMAGES, GRID_WIDTH and the array `c`.
#include "conv/depthwise.wgsl"
#include "conv/epilogue.wgsl"

// True if some classes lack a tap: the one at position 0, or all if there is only one.
const SOME_LACK: bool = TRANSPOSED && any(KERNEL % TAP_STEP != vec2u());
const CHANNELS4: u32 = (N + 3u) / 4u;

fn tap_at(pixels: PixelClass, y: u32, x: u32) -> u32 {
  let position = vec2u(y, x);
  let tap = pixels.first_tap + select(position, TAPS - 1u - position, TRANSPOSED) * TAP_STEP;
  return min(tap.x * KERNEL_X + tap.y, KERNEL_Y * KERNEL_X - 1u);
}

// The weights of four channels in row `y` of the positions.
fn load_row(pixels: PixelClass, channel: u32, y: u32) -> Row {
  var row: Row;
  row.t0 = weight_at(channel, tap_at(pixels, y, 0u));
  if (TAPS.y > 1u) { row.t1 = weight_at(channel, tap_at(pixels, y, 1u)); }
  if (TAPS.y > 2u) { row.t2 = weight_at(channel, tap_at(pixels, y, 2u)); }
  if (TAPS.y > 3u) { row.t3 = weight_at(channel, tap_at(pixels, y, 3u)); }
  if (TAPS.y > 4u) { row.t4 = weight_at(channel, tap_at(pixels, y, 4u)); }
  return row;
}

// Whether the class lacks the first row and the first column of the positions.
var<private> lacks: vec2<bool>;

fn add_pixel(x0: vec4f, x1: vec4f, x2: vec4f, x3: vec4f, x4: vec4f, w: Row, before: vec4f, first_row: bool) -> vec4f {
  var sum = fma(x0, w.t0, before);
  if (SOME_LACK) { sum = select(sum, before, lacks.y); }
  if (TAPS.y > 1u) { sum = fma(x1, w.t1, sum); }
  if (TAPS.y > 2u) { sum = fma(x2, w.t2, sum); }
  if (TAPS.y > 3u) { sum = fma(x3, w.t3, sum); }
  if (TAPS.y > 4u) { sum = fma(x4, w.t4, sum); }
  if (SOME_LACK) { sum = select(sum, before, first_row && lacks.x); }
  return sum;
}

// Adds a kernel row to the strip's sums.
fn add_row(x: Span, w: Row, s: Strip, first_row: bool) -> Strip {
  return Strip(
    mat4x4f(
      add_pixel(x[0], x[1], x[2], x[3], x[4], w, s.p0[0], first_row),
      add_pixel(x[STEP], x[STEP + 1u], x[STEP + 2u], x[STEP + 3u], x[STEP + 4u], w, s.p0[1], first_row),
      add_pixel(x[2u * STEP], x[2u * STEP + 1u], x[2u * STEP + 2u], x[2u * STEP + 3u], x[2u * STEP + 4u], w, s.p0[2], first_row),
      add_pixel(x[3u * STEP], x[3u * STEP + 1u], x[3u * STEP + 2u], x[3u * STEP + 3u], x[3u * STEP + 4u], w, s.p0[3], first_row),
    ),
    mat4x4f(
      add_pixel(x[4u * STEP], x[4u * STEP + 1u], x[4u * STEP + 2u], x[4u * STEP + 3u], x[4u * STEP + 4u], w, s.p1[0], first_row),
      add_pixel(x[5u * STEP], x[5u * STEP + 1u], x[5u * STEP + 2u], x[5u * STEP + 3u], x[5u * STEP + 4u], w, s.p1[1], first_row),
      add_pixel(x[6u * STEP], x[6u * STEP + 1u], x[6u * STEP + 2u], x[6u * STEP + 3u], x[6u * STEP + 4u], w, s.p1[2], first_row),
      add_pixel(x[7u * STEP], x[7u * STEP + 1u], x[7u * STEP + 2u], x[7u * STEP + 3u], x[7u * STEP + 4u], w, s.p1[3], first_row),
    ),
  );
}

fn store_pixel(pixels: PixelClass, image: u32, y: u32, x: u32, channel4: u32, value: vec4f) {
  if (y >= pixels.size.x || x >= pixels.size.y) { return; }
  let channels = vec4u(4u * channel4) + vec4u(0u, 1u, 2u, 3u);
  let at = pixel_of_c(pixels, image, vec2u(y, x)) * (STRIDE_C / 4u) + channel4;
  c[at] = select(vec4f(), epilogue(value, channel4), channels < vec4u(N));
}

fn store_strip(pixels: PixelClass, image: u32, y: u32, x: u32, channel4: u32, s: Strip) {
  store_pixel(pixels, image, y, x, channel4, s.p0[0]);
  store_pixel(pixels, image, y, x + 1u, channel4, s.p0[1]);
  store_pixel(pixels, image, y, x + 2u, channel4, s.p0[2]);
  store_pixel(pixels, image, y, x + 3u, channel4, s.p0[3]);
  store_pixel(pixels, image, y, x + 4u, channel4, s.p1[0]);
  store_pixel(pixels, image, y, x + 5u, channel4, s.p1[1]);
  store_pixel(pixels, image, y, x + 6u, channel4, s.p1[2]);
  store_pixel(pixels, image, y, x + 7u, channel4, s.p1[3]);
}

fn convolve(id: vec3u) {
  let pixels = pixel_class(id.z);
  let strips = (pixels.size.y + STRIP - 1u) / STRIP;
  let pairs = (pixels.size.x + 1u) / 2u;
  let at = id.x + id.y * GRID_WIDTH;
  if (at >= CHANNELS4 * strips * pairs * IMAGES) { return; }
  let channel4 = at % CHANNELS4;
  let strip = at / CHANNELS4;
  let pair = strip / strips;
  let image = pair / pairs;
  let q = vec2u(2u * (pair % pairs), STRIP * (strip % strips));
  let channel = 4u * channel4;
  open_weights(channel, image);
  if (SOME_LACK) { lacks = pixels.taps < TAPS; }
  var w: array<Row, 5>;
  w[0] = load_row(pixels, channel, 0u);
  if (TAPS.x > 1u) { w[1] = load_row(pixels, channel, 1u); }
  if (TAPS.x > 2u) { w[2] = load_row(pixels, channel, 2u); }
  if (TAPS.x > 3u) { w[3] = load_row(pixels, channel, 3u); }
  if (TAPS.x > 4u) { w[4] = load_row(pixels, channel, 4u); }
  // The pixel of A at position (0, 0).
  let start = vec2i(q * GRID_STEP) + pixels.origin - select(vec2i(), vec2i(TAPS) - 1, TRANSPOSED);
  var s0: Strip;
  var s1: Strip;
  {
    let x = load_span(line_of_a(image, start.x, start.y, channel4));
    s0 = add_row(x, w[0], s0, true);
  }
  if (TAPS.x > 1u || GRID_STEP.x == 1u) {
    let x = load_span(line_of_a(image, start.x + 1, start.y, channel4));
    if (TAPS.x > 1u) { s0 = add_row(x, w[1], s0, false); }
    if (GRID_STEP.x == 1u) { s1 = add_row(x, w[0], s1, true); }
  }
  if (TAPS.x > 2u - GRID_STEP.x) {
    let x = load_span(line_of_a(image, start.x + 2, start.y, channel4));
    if (TAPS.x > 2u) { s0 = add_row(x, w[2], s0, false); }
    s1 = add_row(x, w[2u - GRID_STEP.x], s1, GRID_STEP.x == 2u);
  }
  if (TAPS.x > 3u - GRID_STEP.x) {
    let x = load_span(line_of_a(image, start.x + 3, start.y, channel4));
    if (TAPS.x > 3u) { s0 = add_row(x, w[3], s0, false); }
    s1 = add_row(x, w[3u - GRID_STEP.x], s1, false);
  }
  if (TAPS.x > 4u - GRID_STEP.x) {
    let x = load_span(line_of_a(image, start.x + 4, start.y, channel4));
    if (TAPS.x > 4u) { s0 = add_row(x, w[4], s0, false); }
    s1 = add_row(x, w[4u - GRID_STEP.x], s1, false);
  }
  if (TAPS.x > 5u - GRID_STEP.x) {
    let x = load_span(line_of_a(image, start.x + 5, start.y, channel4));
    s1 = add_row(x, w[5u - GRID_STEP.x], s1, false);
  }
  if (TAPS.x > 4u && GRID_STEP.x == 2u) {
    let x = load_span(line_of_a(image, start.x + 6, start.y, channel4));
    s1 = add_row(x, w[4], s1, false);
  }
  find_channels(channel);
  store_strip(pixels, image, q.x, q.y, channel4, s0);
  store_strip(pixels, image, q.x + 1u, q.y, channel4, s1);
}
