// The common part of conv2d_depthwise_forward, conv2d_depthwise_input_gradient and their approximate variants. One
// invocation computes a strip of 4 pixels x 4 channels in LINES_EACH adjacent lines of one class (conv/windows.wgsl), and
// reads every line of A once, with the weights in registers. Invocations run over channels, strips, lines and images.
// Needs open_weights(channel, image) and weight_at(channel, tap), the weights of channels channel .. channel + 3; and N,
// STRIDE_C, IMAGES, GRID_WIDTH and the array `c`.
// Measured on SwiftShader, 3 x 3, 32 x 32 x 64, batch 16: 8 times as fast as one pixel per invocation, 3 times with stride 2.
// Strips of 8 pixels instead of 4 take 1.2 times as long, and branches instead of repeated stores as well.
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

// Adds a kernel row to the sums of a strip's pixels.
fn add_row(x: Span, w: Row, s: mat4x4f, first_row: bool) -> mat4x4f {
  return mat4x4f(
    add_pixel(x[0], x[1], x[2], x[3], x[4], w, s[0], first_row),
    add_pixel(x[STEP], x[STEP + 1u], x[STEP + 2u], x[STEP + 3u], x[STEP + 4u], w, s[1], first_row),
    add_pixel(x[2u * STEP], x[2u * STEP + 1u], x[2u * STEP + 2u], x[2u * STEP + 3u], x[2u * STEP + 4u], w, s[2], first_row),
    add_pixel(x[3u * STEP], x[3u * STEP + 1u], x[3u * STEP + 2u], x[3u * STEP + 3u], x[3u * STEP + 4u], w, s[3], first_row),
  );
}

fn store_pixel(at: u32, channel4: u32, value: vec4f) {
  let channels = vec4u(4u * channel4) + vec4u(0u, 1u, 2u, 3u);
  c[at] = select(vec4f(), epilogue(value, channel4), channels < vec4u(N));
}

// Stores pixels x .. x + 3 of line y of a class, with zeros in pad channels. Instead of pixels behind the last one it stores
// that one once more, because branches are slow on SwiftShader.
fn store_strip(pixels: PixelClass, image: u32, y: u32, x: u32, channel4: u32, s: mat4x4f) {
  let at = pixel_of_c(pixels, image, vec2u(y, x)) * (STRIDE_C / 4u) + channel4;
  let by = PIXEL_STEP.y * (STRIDE_C / 4u);
  let last = pixels.size.y - 1u - x;
  let s1 = select(s[0], s[1], last >= 1u);
  let s2 = select(s1, s[2], last >= 2u);
  let s3 = select(s2, s[3], last >= 3u);
  store_pixel(at, channel4, s[0]);
  store_pixel(at + min(last, 1u) * by, channel4, s1);
  store_pixel(at + min(last, 2u) * by, channel4, s2);
  store_pixel(at + min(last, 3u) * by, channel4, s3);
}

// Every turn reads GRID_STEP.x lines of A. So many lines of C meet them: line q, which begins, and those before it.
const OPEN: u32 = (TAPS.x + GRID_STEP.x - 1u) / GRID_STEP.x;

fn convolve(id: vec3u) {
  let pixels = pixel_class(id.z);
  let strips = (pixels.size.y + STRIP - 1u) / STRIP;
  let parts = (pixels.size.x + LINES_EACH - 1u) / LINES_EACH;
  let at = id.x + id.y * GRID_WIDTH;
  if (at >= CHANNELS4 * strips * parts * IMAGES) { return; }
  let channel4 = at % CHANNELS4;
  let strip = at / CHANNELS4;
  let part = strip / strips;
  let image = part / parts;
  let x = STRIP * (strip % strips);
  let channel = 4u * channel4;
  open_weights(channel, image);
  find_channels(channel);
  if (SOME_LACK) { lacks = pixels.taps < TAPS; }
  var w: array<Row, 5>;
  w[0] = load_row(pixels, channel, 0u);
  if (TAPS.x > 1u) { w[1] = load_row(pixels, channel, 1u); }
  if (TAPS.x > 2u) { w[2] = load_row(pixels, channel, 2u); }
  if (TAPS.x > 3u) { w[3] = load_row(pixels, channel, 3u); }
  if (TAPS.x > 4u) { w[4] = load_row(pixels, channel, 4u); }
  let first = part % parts * LINES_EACH;
  let end = min(first + LINES_EACH, pixels.size.x) + OPEN - 1u;
  // The pixel of A at position (0, 0) of pixel (0, x).
  let start = pixels.origin + vec2i(0, i32(x * STEP)) - select(vec2i(), vec2i(TAPS) - 1, TRANSPOSED);
  var s0: mat4x4f;
  var s1: mat4x4f;
  var s2: mat4x4f;
  var s3: mat4x4f;
  var s4: mat4x4f;
  for (var q = first; q < end; q++) {
    let y = start.x + i32(q * GRID_STEP.x);
    let met = load_span(line_of_a(image, y, start.y, channel4));
    s0 = add_row(met, w[0], mat4x4f(), true);
    if (OPEN > 1u) { s1 = add_row(met, w[GRID_STEP.x], s1, false); }
    if (OPEN > 2u) { s2 = add_row(met, w[2u * GRID_STEP.x], s2, false); }
    if (OPEN > 3u) { s3 = add_row(met, w[3u * GRID_STEP.x % 5u], s3, false); }
    if (OPEN > 4u) { s4 = add_row(met, w[4u * GRID_STEP.x % 5u], s4, false); }
    if (GRID_STEP.x > 1u && TAPS.x > 1u) {
      let next = load_span(line_of_a(image, y + 1, start.y, channel4));
      s0 = add_row(next, w[1], s0, false);
      if (TAPS.x > 3u) { s1 = add_row(next, w[3], s1, false); }
    }
    var done = s0;
    if (OPEN == 2u) { done = s1; }
    if (OPEN == 3u) { done = s2; }
    if (OPEN == 4u) { done = s3; }
    if (OPEN == 5u) { done = s4; }
    // In the first turns no line is done: what they store, later turns overwrite.
    store_strip(pixels, image, max(q + 1u, first + OPEN) - OPEN, x, channel4, done);
    s4 = s3;
    s3 = s2;
    s2 = s1;
    s1 = s0;
  }
}
