// conv2d_direct_input_gradient with W, and the bias of a transposed convolution, fetched from approximate memory inside the
// product (the fused path). The result has the same bits as materialise followed by conv2d_direct_input_gradient.
// dy, W and dx are as there, but W consists of codes: a row of W is STRIDE_B / 16 blocks of 16 codes. Workgroup z runs over
// groups of IMAGES images (see conv2d_forward_approximate.wgsl) and, in each, over classes.
// Bindings: dy, codes, fault_table, c, step, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2dInputGradient (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> step: Step;

#include "struct/step"
#include "conv/fetch_four_rows.wgsl"

fn open_weights(channel: u32, group: u32) { open_tensors(channel, group); }

// Four columns of a row of W.
fn fetch_quad(row: u32, column4: u32) -> vec4f {
  return fetch_block(weights, row * (STRIDE_B / 16u) + column4 / 4u, row)[column4 & 3u];
}

fn weight_rows(row: u32, column4: u32) -> mat4x4f {
  var rows: mat4x4f;
  for (var i = 0u; i < 4u; i++) { rows[i] = fetch_quad(row + i, column4); }
  return rows;
}

fn weight_each(rows: vec4u, columns: vec4u) -> vec4f {
  var each: vec4f;
  for (var i = 0u; i < 4u; i++) { each[i] = fetch_quad(rows[i], columns[i] / 4u)[columns[i] & 3u]; }
  return each;
}

#include "conv/direct_input_gradient.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  convolve(id);
}
