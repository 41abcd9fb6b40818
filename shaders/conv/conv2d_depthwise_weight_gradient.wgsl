// The gradient of conv2d_depthwise_forward with respect to its weights:
// dW[k, ky, kx] = sum over n, oy, ox of dy[n, oy, ox, k]
//                 x[n, oy STRIDE_Y + ky - PADDING_Y, ox STRIDE_X + kx - PADDING_X, k].
// x (here a): NHWC, stride STRIDE_A, with a row of zeros at ZERO_ROW. dy: NHWC, C_HEIGHT x C_WIDTH pixels, stride STRIDE_DY.
// dW (here c): M channels x N columns ky KERNEL_X + kx, stride STRIDE_C. One invocation computes all taps of 4 channels in a
// slice of LINES_SLICE lines of output pixels, strip by strip; invocations run over channels and slices.
// Bindings: x, dy, c (dW or its slices). Launched by recordConv2dWeightGradient (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

fn load_bias(i: u32) -> vec4f { return vec4f(); }

#include "conv/depthwise.wgsl"
#include "gemm/epilogue.wgsl"
#include "gemm/store.wgsl"

fn load_gradient(line: u32, x: u32, channel4: u32) -> vec4f {
  return select(vec4f(), dy[(line * C_WIDTH + x) * (STRIDE_DY / 4u) + channel4], x < C_WIDTH);
}

fn load_gradients(line: u32, x: u32, channel4: u32) -> mat4x4f {
  return mat4x4f(
    load_gradient(line, x, channel4),
    load_gradient(line, x + 1u, channel4),
    load_gradient(line, x + 2u, channel4),
    load_gradient(line, x + 3u, channel4),
  );
}

// Adds the products of the strip's pixels at one tap.
fn add_tap(x0: vec4f, x1: vec4f, x2: vec4f, x3: vec4f, g: mat4x4f, before: vec4f) -> vec4f {
  return fma(x3, g[3], fma(x2, g[2], fma(x1, g[1], fma(x0, g[0], before))));
}

// Adds the products of the strip's pixels in one kernel row.
fn add_row(x: Span, g: mat4x4f, s: Row) -> Row {
  var sums: Row;
  sums.t0 = add_tap(x[0], x[STEP], x[2u * STEP], x[3u * STEP], g, s.t0);
  if (TAPS.y > 1u) { sums.t1 = add_tap(x[1], x[STEP + 1u], x[2u * STEP + 1u], x[3u * STEP + 1u], g, s.t1); }
  if (TAPS.y > 2u) { sums.t2 = add_tap(x[2], x[STEP + 2u], x[2u * STEP + 2u], x[3u * STEP + 2u], g, s.t2); }
  if (TAPS.y > 3u) { sums.t3 = add_tap(x[3], x[STEP + 3u], x[2u * STEP + 3u], x[3u * STEP + 3u], g, s.t3); }
  if (TAPS.y > 4u) { sums.t4 = add_tap(x[4], x[STEP + 4u], x[2u * STEP + 4u], x[3u * STEP + 4u], g, s.t4); }
  return sums;
}

// Columns of the result; those after the last tap remain zero.
var<private> columns: array<vec4f, 32>;

fn keep_row(y: u32, s: Row) {
  columns[y * KERNEL_X] = s.t0;
  if (TAPS.y > 1u) { columns[y * KERNEL_X + 1u] = s.t1; }
  if (TAPS.y > 2u) { columns[y * KERNEL_X + 2u] = s.t2; }
  if (TAPS.y > 3u) { columns[y * KERNEL_X + 3u] = s.t3; }
  if (TAPS.y > 4u) { columns[y * KERNEL_X + 4u] = s.t4; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x + id.y * GRID_WIDTH;
  let channel4 = at % ((M + 3u) / 4u);
  slice = at / ((M + 3u) / 4u);
  if (slice >= SPLIT_K) { return; }
  var line = slice * LINES_SLICE;
  let end = min(line + LINES_SLICE, IMAGES * C_HEIGHT);
  var ox = 0u;
  var s0: Row;
  var s1: Row;
  var s2: Row;
  var s3: Row;
  var s4: Row;
  while (line < end) {
    let g = load_gradients(line, ox, channel4);
    let image = line / C_HEIGHT;
    let y = i32(line % C_HEIGHT * STRIDE_Y) - i32(PADDING_Y);
    let x = i32(ox * STRIDE_X) - i32(PADDING_X);
    s0 = add_row(load_span(line_of_a(image, y, x, channel4)), g, s0);
    if (TAPS.x > 1u) { s1 = add_row(load_span(line_of_a(image, y + 1, x, channel4)), g, s1); }
    if (TAPS.x > 2u) { s2 = add_row(load_span(line_of_a(image, y + 2, x, channel4)), g, s2); }
    if (TAPS.x > 3u) { s3 = add_row(load_span(line_of_a(image, y + 3, x, channel4)), g, s3); }
    if (TAPS.x > 4u) { s4 = add_row(load_span(line_of_a(image, y + 4, x, channel4)), g, s4); }
    ox += STRIP;
    let ends = ox >= C_WIDTH;
    line += select(0u, 1u, ends);
    ox = select(ox, 0u, ends);
  }
  keep_row(0u, s0);
  if (TAPS.x > 1u) { keep_row(1u, s1); }
  if (TAPS.x > 2u) { keep_row(2u, s2); }
  if (TAPS.x > 3u) { keep_row(3u, s3); }
  if (TAPS.x > 4u) { keep_row(4u, s4); }
  for (var i = 0u; i < STRIDE_C / 4u; i++) {
    let block = transpose(mat4x4f(columns[4u * i], columns[4u * i + 1u], columns[4u * i + 2u], columns[4u * i + 3u]));
    store_block(4u * channel4, 4u * i, block);
  }
}
