// dx = act(convT(dy, W) + bias) with every channel convolved by a kernel of its own: the gradient of
// conv2d_depthwise_forward with respect to x, and the forward pass of a transposed convolution:
// dx[n, iy, ix, k] = act(sum over ky, kx with iy + PADDING_Y - ky = oy STRIDE_Y and ix + PADDING_X - kx = ox STRIDE_X of
//                        dy[n, oy, ox, k] W[k, ky, kx] + bias[k]).
// dy (here a): NHWC, one pixel per row of STRIDE_A, with a row of zeros at ZERO_ROW. W as there. dx (here c): NHWC, N
// channels, stride STRIDE_C. One invocation computes 4 pixels x 4 channels in LINES_EACH lines of one class
// (conv/windows.wgsl); workgroup z is the class.
// Bindings: dy, weights, bias, c, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2dInputGradient (src/kernels/conv.ts).
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
