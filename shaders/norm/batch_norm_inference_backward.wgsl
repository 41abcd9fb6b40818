// dx[r, c] = d[r, c] * gamma[c] / sqrt(variance[c] + EPSILON): the gradient through batch normalisation whose statistics
// are constants, for an attacker who differentiates a trained model. d = dy act' is the gradient before the activation
// (common/output_gradient.wgsl).
// y, dy, dx: ROWS x COLUMNS, stride STRIDE; pads of dy are zero, those of dx are written zero. gamma, spread (the
// variance): 1 x COLUMNS. One invocation computes rows g, g + GROUPS, g + 2 GROUPS, ... of four channels.
// Bindings: y (not read without an activation), dy, gamma, spread, dx. Launched by recordBatchNormInferenceBackward
// (src/kernels/norm.ts). Reference: src/reference/norm.ts.
#include "common/columns.wgsl"
#include "common/output_gradient.wgsl"
#include "norm/inverse_deviation.wgsl"

@group(0) @binding(0) var<storage, read> y: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(3) var<storage, read> spread: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= GROUPS * (STRIDE / 4u)) { return; }
  let column = i % (STRIDE / 4u);
  let scale = select(vec4f(), gamma[column] * inverse_deviation(column), in_row(column * 4u));
  for (var at = i; at < ROWS * (STRIDE / 4u); at += GROUPS * (STRIDE / 4u)) { dx[at] = output_gradient(at) * scale; }
}
