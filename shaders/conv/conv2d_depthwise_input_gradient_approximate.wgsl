// conv2d_depthwise_input_gradient with W and bias fetched from approximate memory inside the product (the fused path): the
// decoded weights exist only in registers. The result has the same bits as materialise followed by
// conv2d_depthwise_input_gradient.
// With PER_IMAGE (granularity `inference`), the number of the image, step.first_image + n, is part of the random key with
// which the faults of its weights are drawn.
// Bindings: dy, codes, fault_table, c, step, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2dInputGradient (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> step: Step;

#include "struct/step"
#include "conv/depthwise_fetch.wgsl"
#include "conv/depthwise_product.wgsl"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  convolve(id);
}
