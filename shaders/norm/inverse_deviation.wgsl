// 1 / sqrt(variance + EPSILON) of four channels. With FROM_VARIANCE `spread` holds variances (running statistics;
// negative only through memory faults, and then counted as 0), otherwise the statistics saved by the training pass: a row
// of means of SAVED_STRIDE, followed by a row of inverse deviations.
// Needs the array `spread` of the including shader.
fn inverse_deviation(column: u32) -> vec4f {
  if (FROM_VARIANCE) { return inverseSqrt(max(spread[column], vec4f()) + EPSILON); }
  return spread[SAVED_STRIDE / 4u + column];
}
