// y = act(conv(x, W) + bias) with every channel convolved by a kernel of its own:
// y[n, oy, ox, k] = act(sum over ky, kx of x[n, oy STRIDE_Y + ky - PADDING_Y, ox STRIDE_X + kx - PADDING_X, k] W[k, ky, kx]
//                       + bias[k]), pixels outside the image being zero. Up to 5 x 5 taps, strides 1 and 2.
// x (here a): NHWC, one pixel per row of STRIDE_A, with a row of zeros at ZERO_ROW. W: one row per channel, column
// ky KERNEL_X + kx, stride STRIDE_B. y (here c): NHWC, N channels, stride STRIDE_C. One invocation computes 4 pixels
// x 4 channels in LINES_EACH lines, without barriers.
// Bindings: x, weights, bias, c, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2d (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

#include "conv/depthwise_weights.wgsl"
#include "conv/depthwise_product.wgsl"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  convolve(id);
}
