// dbeta[c] = sum_r d[r, c], dgamma[c] = sum_r d[r, c] * (x[r, c] - mean[c]) * inverse[c] from the partial sums of
// batch_norm_backward_sums.wgsl: the second stage. inverse = 1 / sqrt(variance + EPSILON), saved or from a running
// variance.
// partial: PARTIALS x STRIDE / 4 pairs of vec4f. spread: see norm/inverse_deviation.wgsl. dgamma, dbeta: 1 x COLUMNS; pads
// are written zero. One invocation per four channels.
// Bindings: partial, spread, dgamma, dbeta. Launched by recordBatchNormBackward and recordBatchNormInferenceBackward
// (src/kernels/norm.ts). Reference: src/reference/norm.ts.
#include "common/columns.wgsl"
#include "norm/inverse_deviation.wgsl"

@group(0) @binding(0) var<storage, read> partial: array<vec4f>;
@group(0) @binding(1) var<storage, read> spread: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dgamma: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dbeta: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x + id.y * GRID_WIDTH;
  if (column >= STRIDE / 4u) { return; }
  var sum = vec4f();
  var products = vec4f();
  for (var p = 0u; p < PARTIALS; p++) {
    let at = 2u * (p * (STRIDE / 4u) + column);
    sum += partial[at];
    products += partial[at + 1u];
  }
  let keep = in_row(column * 4u);
  dgamma[column] = select(vec4f(), products * inverse_deviation(column), keep);
  dbeta[column] = select(vec4f(), sum, keep);
}
