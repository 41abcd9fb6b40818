// The second stage of batch normalisation's statistics: from the partial results of batch_norm_statistics.wgsl, for every
// channel c, mean = sum_p S_p / ROWS, v = sum_p (M_p + n_p (S_p / n_p - mean)^2) / ROWS (Chan, Golub and LeVeque 1979: only
// differences from a mean are squared), saved = a row of mean and a row of 1 / sqrt(v + EPSILON), and, as PyTorch does,
// running_mean += MOMENTUM (mean - running_mean), running_variance likewise with the unbiased v * ROWS / (ROWS - 1).
// partial: PARTIALS x STRIDE / 4 pairs of vec4f, ROWS >= 2. saved: 2 x COLUMNS, stride SAVED_STRIDE. The others: 1 x
// COLUMNS. Pads are written zero. One invocation per four channels.
// Bindings: partial, saved, running_mean, running_variance. Launched by recordBatchNormTraining
// (src/kernels/norm.ts). Reference: src/reference/norm.ts.
#include "common/columns.wgsl"

@group(0) @binding(0) var<storage, read> partial: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> saved: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> running_mean: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> running_variance: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x + id.y * GRID_WIDTH;
  if (column >= STRIDE / 4u) { return; }
  var sum = vec4f();
  for (var p = 0u; p < PARTIALS; p++) { sum += partial[2u * (p * (STRIDE / 4u) + column)]; }
  let average = sum / f32(ROWS);
  var squares = vec4f();
  for (var p = 0u; p < PARTIALS; p++) {
    let at = 2u * (p * (STRIDE / 4u) + column);
    let rows = f32((ROWS - 1u - p) / PARTIALS + 1u);
    let d = partial[at] / rows - average;
    squares += partial[at + 1u] + rows * d * d;
  }
  let keep = in_row(column * 4u);
  saved[column] = average;
  saved[SAVED_STRIDE / 4u + column] = select(vec4f(), inverseSqrt(squares / f32(ROWS) + EPSILON), keep);
  running_mean[column] += MOMENTUM * (average - running_mean[column]);
  let unbiased = squares / f32(ROWS - 1u);
  running_variance[column] += MOMENTUM * (unbiased - running_variance[column]);
}
