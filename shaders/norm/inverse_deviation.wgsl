// 1 / sqrt(variance + epsilon) of four channels. FROM_VARIANCE says what the shader is given as the spread of a channel:
// its variance (running statistics; below 0 only in approximate memory, and then counts as 0), or the inverse deviation itself, as the training pass has saved it.
fn inverse_deviation(spread: vec4f) -> vec4f {
  if (FROM_VARIANCE) { return inverseSqrt(max(spread, vec4f()) + EPSILON); }
  return spread;
}
