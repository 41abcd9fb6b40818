// y[r, c] = act((x[r, c] - mean[c]) * inverse[c] * gamma[c] + beta[c]), inverse = 1 / sqrt(variance + EPSILON): batch
// normalisation with given statistics (those saved for the batch or, with FROM_VARIANCE, the running ones), followed by the
// activation.
// x, y: ROWS x COLUMNS, stride STRIDE; the pads of y are written as zeros. The others: 1 x COLUMNS, zero pads.
// One invocation computes rows g, g + GROUPS, g + 2 GROUPS, ... of four channels, whose parameters it loads once.
// Bindings: x, gamma, beta, mean and spread (the two saved statistics of the batch, or the two running statistics), y.
// Launched by recordBatchNormTraining and recordBatchNormInference (src/kernels/norm.ts). Reference: src/reference/norm.ts.
#include "common/activation.wgsl"
#include "common/columns.wgsl"
#include "norm/inverse_deviation.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(2) var<storage, read> beta: array<vec4f>;
@group(0) @binding(3) var<storage, read> mean: array<vec4f>;
@group(0) @binding(4) var<storage, read> spread: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= GROUPS * (STRIDE / 4u)) { return; }
  let column = i % (STRIDE / 4u);
  let keep = in_row(column * 4u);
  let scale = select(vec4f(), gamma[column] * inverse_deviation(column), keep);
  let shift = select(vec4f(), beta[column], keep);
  let center = mean[column];
  for (var at = i; at < ROWS * (STRIDE / 4u); at += GROUPS * (STRIDE / 4u)) {
    y[at] = select(vec4f(), activate((x[at] - center) * scale + shift), keep);
  }
}
