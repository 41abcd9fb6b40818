// The gradient of conv2d_direct_forward with respect to its weights; on each axis
// dW[oc, tap, ic] = sum over n, q of dy[n, q, oc] x[n, q STRIDE + tap DILATION - PADDING, g GROUP_IN + ic].
// dy: NHWC, one pixel per row of STRIDE_A. x: NHWC, stride STRIDE_B, with a row of zeros at ZERO_ROW. dW (here c): M output
// channels x N columns (ky KERNEL_X + kx) TAP_COLUMNS + ic, stride STRIDE_C. One invocation computes 4 output channels x 4
// columns, without barriers. VECTORS: the channels lie in one group, the columns in one tap, and both are vec4 in dy and x.
// Workgroup z is the slice, of LINES_SLICE lines of output pixels.
// Bindings: dy, x, c (dW or its slices). Launched by recordConv2dWeightGradient (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> dy: array<vec4f>;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

fn load_bias(i: u32) -> vec4f { return vec4f(); }

#include "gemm/epilogue.wgsl"
#include "gemm/store.wgsl"

fn load_x(i: u32) -> f32 { return x[i >> 2u][i & 3u]; }
fn load_each(at: vec4u) -> vec4f { return vec4f(load_x(at.x), load_x(at.y), load_x(at.z), load_x(at.w)); }

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = 4u * id.y;
  let column = 4u * id.x;
  if (row >= M || column >= STRIDE_C) { return; }
  slice = id.z;
  let columns = vec4u(column) + vec4u(0u, 1u, 2u, 3u);
  let tap = columns / TAP_COLUMNS;
  let channel = columns % TAP_COLUMNS;
  let exists = (columns < vec4u(N)) & (channel < vec4u(GROUP_IN));
  // The pixel of x that output pixel (0, 0) meets in each column.
  let tap_y = vec4i(tap / KERNEL_X * DILATION_Y) - i32(PADDING_Y);
  let tap_x = vec4i(tap % KERNEL_X * DILATION_X) - i32(PADDING_X);
  let groups = min((vec4u(row) + vec4u(0u, 1u, 2u, 3u)) / GROUP_OUT, vec4u(GROUPS - 1u));
  let first = groups * GROUP_IN;
  var block: mat4x4f;
  var line = id.z * LINES_SLICE;
  let end = min(line + LINES_SLICE, IMAGES * OUT_HEIGHT);
  var ox = 0u;
  while (line < end) {
    let y = vec4i(i32(line % OUT_HEIGHT * STRIDE_Y)) + tap_y;
    let in_x = vec4i(i32(ox * STRIDE_X)) + tap_x;
    let inside = exists & (bitcast<vec4u>(y) < vec4u(X_HEIGHT)) & (bitcast<vec4u>(in_x) < vec4u(X_WIDTH));
    let pixel = (vec4i(i32(line / OUT_HEIGHT * X_HEIGHT)) + y) * i32(X_WIDTH) + in_x;
    let at = select(vec4u(ZERO_ROW), bitcast<vec4u>(pixel), inside) * STRIDE_B;
    let gradient = dy[((line * OUT_WIDTH + ox) * STRIDE_A + row) >> 2u];
    if (VECTORS) {
      let value = x[(at.x + first.x + channel.x) >> 2u];
      block[0] = fma(vec4f(gradient.x), value, block[0]);
      block[1] = fma(vec4f(gradient.y), value, block[1]);
      block[2] = fma(vec4f(gradient.z), value, block[2]);
      block[3] = fma(vec4f(gradient.w), value, block[3]);
    } else {
      // Pad columns meet the row of zeros, at any channel of it.
      let source = at + select(vec4u(), channel, exists);
      block[0] = fma(vec4f(gradient.x), load_each(source + first.x), block[0]);
      block[1] = fma(vec4f(gradient.y), load_each(source + first.y), block[1]);
      block[2] = fma(vec4f(gradient.z), load_each(source + first.z), block[2]);
      block[3] = fma(vec4f(gradient.w), load_each(source + first.w), block[3]);
    }
    ox++;
    let ends = ox == OUT_WIDTH;
    line += select(0u, 1u, ends);
    ox = select(ox, 0u, ends);
  }
  store_block(row, column, block);
}
