// conv2d_forward where x has one channel: y[n, oy, ox, oc] = act(sum over ky, kx of
// x[n, oy STRIDE + ky - PADDING, ox STRIDE + kx - PADDING] W[oc, ky, kx] + bias[oc]), tap by tap: same bits as there.
// x: NHWC, one pixel per row of STRIDE_A, with a row of zeros at ZERO_ROW. W: one row per output channel, column
// 4 (ky KERNEL + kx), stride STRIDE_B. y (here c): NHWC, N channels, stride STRIDE_C. One invocation computes 4 adjacent
// pixels x 8 channels at a time, in LINES consecutive lines, with the weights in registers. Invocations run over lines,
// pixels, channels.
// Measured on SwiftShader, 3 x 3, 32 x 32 x 1 -> 8: 7 times as fast as conv2d_forward; 4 x 4, stride 2, -> 16: twice.
// Bindings: x, weights, bias, c, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2d (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

const PIXEL: u32 = STRIDE_A;
fn load_x(i: u32) -> f32 { return x[i]; }
fn load_bias(i: u32) -> vec4f { return bias[i]; }

#include "conv/one_channel.wgsl"
#include "conv/epilogue.wgsl"

// Four channels at a tap; channels after the last one are read as they are stored.
fn load_tap(channel: u32, tap: u32) -> vec4f {
  let at = min(vec4u(channel) + vec4u(0u, 1u, 2u, 3u), vec4u(N - 1u)) * STRIDE_B + 4u * tap;
  return vec4f(weights[at.x], weights[at.y], weights[at.z], weights[at.w]);
}

fn load_weights(channel: u32, ky: u32) -> mat4x4f {
  let tap = ky * KERNEL;
  var w: mat4x4f;
  w[0] = load_tap(channel, tap);
  if (KERNEL > 1u) { w[1] = load_tap(channel, tap + 1u); }
  if (KERNEL > 2u) { w[2] = load_tap(channel, tap + 2u); }
  if (KERNEL > 3u) { w[3] = load_tap(channel, tap + 3u); }
  return w;
}

// Four channels of a pixel and a kernel row.
fn add_taps(x: vec4f, w: mat4x4f, c: vec4f) -> vec4f {
  var sum = fma(w[0], vec4f(x.x), c);
  if (KERNEL > 1u) { sum = fma(w[1], vec4f(x.y), sum); }
  if (KERNEL > 2u) { sum = fma(w[2], vec4f(x.z), sum); }
  if (KERNEL > 3u) { sum = fma(w[3], vec4f(x.w), sum); }
  return sum;
}

fn add_row(x: mat4x4f, w: mat4x4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(add_taps(x[0], w, c[0]), add_taps(x[1], w, c[1]), add_taps(x[2], w, c[2]), add_taps(x[3], w, c[3]));
}

const BLOCKS: u32 = (N + 7u) / 8u;
const STRIPS: u32 = (C_WIDTH + 3u) / 4u;

fn store_pixel(line: u32, ox: u32, channel: u32, value: vec4f) {
  if (ox >= C_WIDTH || channel >= STRIDE_C) { return; }
  let channels = vec4u(channel) + vec4u(0u, 1u, 2u, 3u);
  c[((line * C_WIDTH + ox) * STRIDE_C + channel) >> 2u] =
    select(vec4f(), epilogue(value, channel >> 2u), channels < vec4u(N));
}

fn store_pixels(line: u32, ox: u32, channel: u32, values: mat4x4f) {
  store_pixel(line, ox, channel, values[0]);
  store_pixel(line, ox + 1u, channel, values[1]);
  store_pixel(line, ox + 2u, channel, values[2]);
  store_pixel(line, ox + 3u, channel, values[3]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x + id.y * GRID_WIDTH;
  let strip = at / BLOCKS;
  let channel = 8u * (at % BLOCKS);
  let ox = 4u * (strip % STRIPS);
  var line = strip / STRIPS * LINES;
  let end = min(line + LINES, IMAGES * C_HEIGHT);
  if (line >= end) { return; }
  find_channels(channel);
  var w: Taps;
  w.a0 = load_weights(channel, 0u);
  w.b0 = load_weights(channel + 4u, 0u);
  if (KERNEL > 1u) { w.a1 = load_weights(channel, 1u); w.b1 = load_weights(channel + 4u, 1u); }
  if (KERNEL > 2u) { w.a2 = load_weights(channel, 2u); w.b2 = load_weights(channel + 4u, 2u); }
  if (KERNEL > 3u) { w.a3 = load_weights(channel, 3u); w.b3 = load_weights(channel + 4u, 3u); }
  var image = line / C_HEIGHT;
  var oy = line % C_HEIGHT;
  while (line < end) {
    let x0 = load_taps(line_met(image, oy, ox, 0u));
    // On SwiftShader a var without an initial value would keep its value from the previous turn of the loop.
    var a = add_row(x0, w.a0, mat4x4f());
    var b = add_row(x0, w.b0, mat4x4f());
    if (KERNEL > 1u) {
      let x1 = load_taps(line_met(image, oy, ox, 1u));
      a = add_row(x1, w.a1, a);
      b = add_row(x1, w.b1, b);
    }
    if (KERNEL > 2u) {
      let x2 = load_taps(line_met(image, oy, ox, 2u));
      a = add_row(x2, w.a2, a);
      b = add_row(x2, w.b2, b);
    }
    if (KERNEL > 3u) {
      let x3 = load_taps(line_met(image, oy, ox, 3u));
      a = add_row(x3, w.a3, a);
      b = add_row(x3, w.b3, b);
    }
    store_pixels(line, ox, channel, a);
    store_pixels(line, ox, channel + 4u, b);
    line++;
    let image_ends = oy + 1u == C_HEIGHT;
    image += select(0u, 1u, image_ends);
    oy = select(oy + 1u, 0u, image_ends);
  }
}
