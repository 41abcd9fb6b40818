// The noise and the deviation of a variational bottleneck: see bottleneck_forward.wgsl.
#include "common/hash.wgsl"
#include "common/normal.wgsl"

// Standard normal numbers of four values of an image, from pcg4d(quad, iteration, KEY_LOW, KEY_HIGH).
fn noise_of(row: u32, quad: u32, iteration: u32) -> vec4f {
  let words = pcg4d(vec4u(row * ((COLUMNS + 3u) / 4u) + quad, iteration, KEY_LOW, KEY_HIGH));
  return vec4f(standard_normals(words.xy), standard_normals(words.zw));
}

// softplus(t) = max(t, 0) + ln(1 + e), e = exp(-|t|), where ln(1 + e) = 2 artanh s with s = e / (2 + e) <= 1/3: WGSL's log
// may lose all digits of the logarithm of a number near 1.
fn softplus(t: vec4f) -> vec4f {
  let e = exp(-abs(t));
  let s = e / (2.0 + e);
  let q = s * s;
  let series = q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0)))));
  return max(t, vec4f()) + 2.0 * (s + s * series);
}
