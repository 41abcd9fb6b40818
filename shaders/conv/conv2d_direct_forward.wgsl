// y = act(conv(x, W) + bias) for any kernel, stride, dilation, padding and number of groups; on each axis
// y[n, q, oc] = act(sum over tap, ic of x[n, q STRIDE + tap DILATION - PADDING, g GROUP_IN + ic] W[oc, tap, ic] + bias[oc])
// with g = floor(oc / GROUP_OUT), pixels outside the image being zero.
// x (here a): NHWC, one pixel per row of STRIDE_A, with a row of zeros at ZERO_ROW. W: one row per output channel, column
// (ky KERNEL_X + kx) TAP_COLUMNS + ic, stride STRIDE_B. y (here c): NHWC, N channels, stride STRIDE_C.
// One invocation computes 16 pixels x 4 channels without barriers; for square kernels conv2d_forward is faster.
// Bindings: x, weights, bias, c, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2d (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

fn load_b(i: u32) -> vec4f { return weights[i]; }
fn load_bias(i: u32) -> vec4f { return bias[i]; }
fn open_weights(row: u32, group: u32) {}
fn open_block(row: u32, block: u32) {}
fn weight_quad(row: u32, quad: u32) -> mat4x4f { return panel_b_rows(row * (STRIDE_B / 4u) + quad, STRIDE_B / 4u).p0; }

#include "conv/direct_forward.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  convolve(id);
}
