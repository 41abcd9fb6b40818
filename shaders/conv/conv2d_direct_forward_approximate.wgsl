// conv2d_direct_forward with W and bias fetched from approximate memory inside the product (the fused path): the decoded
// weights exist only in registers. The result has the same bits as materialise followed by conv2d_direct_forward.
// x, W and y are as there, but W consists of codes: a row of W is STRIDE_B / 16 blocks, and a block may span several taps.
// The faults of each block are drawn, and the block is decoded, once per invocation. Workgroup z is the group of IMAGES
// images, see conv2d_forward_approximate.wgsl.
// Bindings: x, codes, fault_table, c, step, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2d (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> step: Step;

#include "struct/step"
#include "conv/fetch_four_rows.wgsl"

fn open_weights(channel: u32, group: u32) { open_tensors(channel, group); }

fn weight_quad(row: u32, quad: u32) -> mat4x4f {
  let q = quad & 3u;
  return transpose(mat4x4f(fetched[q], fetched[4u + q], fetched[8u + q], fetched[12u + q]));
}

#include "conv/direct_forward.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  convolve(id);
}
