// dx = act(convT(dy, W) + bias) for any kernel, stride, dilation, padding and number of groups: the gradient of
// conv2d_direct_forward with respect to x, and the forward pass of a transposed convolution; on each axis
// dx[n, p, ic] = act(sum over tap, oc with p + PADDING - tap DILATION = q STRIDE of dy[n, q, oc] W[oc, tap, ic] + bias[ic]),
// oc running over the channels of ic's group.
// dy (here a): NHWC, one pixel per row of STRIDE_A, with a row of zeros at ZERO_ROW. W as in conv2d_direct_forward; rows up
// to the next multiple of 4 are read. dx (here c): NHWC, N channels, stride STRIDE_C.
// One invocation computes 16 pixels of one class (conv/windows.wgsl) x 4 channels; workgroup z is the class.
// Bindings: dy, weights, bias, c, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2dInputGradient (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

fn load_b(i: u32) -> vec4f { return weights[i]; }
fn load_bias(i: u32) -> vec4f { return bias[i]; }
fn open_weights(channel: u32, group: u32) {}
fn weight_rows(row: u32, column4: u32) -> mat4x4f {
  return panel_b_columns(row * (STRIDE_B / 4u) + column4, STRIDE_B / 4u).p0;
}
fn weight_each(rows: vec4u, columns: vec4u) -> vec4f {
  let at = rows * STRIDE_B + columns;
  return vec4f(
    weights[at.x >> 2u][at.x & 3u],
    weights[at.y >> 2u][at.y & 3u],
    weights[at.z >> 2u][at.z & 3u],
    weights[at.w >> 2u][at.w & 3u],
  );
}

#include "conv/direct_input_gradient.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  convolve(id);
}
