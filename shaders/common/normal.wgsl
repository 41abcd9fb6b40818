// Two standard normal numbers from two random words, by Box and Muller (1958):
// r = sqrt(-2 ln u), (r cos 2 pi t, r sin 2 pi t), u in (0, 1] and t in [0, 1) from the top 24 bits of a word each.
// ln, cos and sin are written out, because WGSL allows errors of 2^-11 in cos and 2^-21 in ln near 1; this way adapters
// agree to about 1e-6. Reference: src/reference/random.ts.

// ln(n 2^-24) for n in 1 .. 2^24, relative error below 1e-6: n 2^-24 = m 2^e with m in [sqrt(1/2), sqrt(2)), and
// ln m = 2 artanh s = 2 (s + s^3 / 3 + s^5 / 5 + ...), s = (m - 1) / (m + 1), |s| < 0.172.
fn log_of_fraction(n: u32) -> f32 {
  let bits = bitcast<u32>(f32(n));
  // Adding this makes a mantissa of sqrt(2) or more carry into the exponent.
  let shifted = bits + (0x3f800000u - 0x3f3504f3u);
  let exponent = f32(i32(shifted >> 23u) - 127 - 24);
  let m = bitcast<f32>((shifted & 0x007fffffu) + 0x3f3504f3u);
  let s = (m - 1.0) / (m + 1.0);
  let t = s * s;
  let series = t * (1.0 / 3.0 + t * (1.0 / 5.0 + t * (1.0 / 7.0 + t * (1.0 / 9.0))));
  return exponent * 0.69314718055994531 + 2.0 * (s + s * series);
}

fn standard_normals(words: vec2u) -> vec2f {
  let r = sqrt(max(-2.0 * log_of_fraction((words.x >> 8u) + 1u), 0.0));
  // The top two bits of t choose the quadrant, the other 22 an angle in [-pi/4, pi/4), Taylor series to degree 9 and 10.
  let a = (f32((words.y >> 8u) & 0x3fffffu) * 0x1p-22f - 0.5) * 1.5707963267948966;
  let s = a * a;
  let sine = a * (1.0 + s * (-1.0 / 6.0 + s * (1.0 / 120.0 + s * (-1.0 / 5040.0 + s * (1.0 / 362880.0)))));
  let cosine = 1.0 + s * (-0.5 + s * (1.0 / 24.0 + s * (-1.0 / 720.0 + s * (1.0 / 40320.0 - s * (1.0 / 3628800.0)))));
  // The angle is counted from the middle of the quadrant: turn by 45, 135, 225 or 315 degrees.
  let x = (cosine - sine) * 0.70710678118654752;
  let y = (cosine + sine) * 0.70710678118654752;
  let quadrant = words.y >> 30u;
  let turned = select(vec2f(x, y), vec2f(-y, x), (quadrant & 1u) == 1u);
  return r * select(turned, -turned, quadrant >= 2u);
}
