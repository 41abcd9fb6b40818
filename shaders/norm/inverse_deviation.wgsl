// 1 / sqrt(variance + EPSILON) of four channels. FROM_VARIANCE says what the shader is given as their spread: variances
// (running statistics; below 0 only in approximate memory, and then they count as 0), or what the training pass has saved,
// a row of means of SAVED_STRIDE and behind it a row of inverse deviations.
// Needs the array `spread` of the including shader.
fn inverse_deviation(column: u32) -> vec4f {
  if (FROM_VARIANCE) { return inverseSqrt(max(spread[column], vec4f()) + EPSILON); }
  return spread[SAVED_STRIDE / 4u + column];
}
