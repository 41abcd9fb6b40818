// Standard normal numbers from random words, two from two: Box and Muller (1958),
// r = sqrt(-2 ln u), (r cos 2 pi t, r sin 2 pi t), u in (0, 1] and t in [0, 1) from the top 24 bits of a word each.
// cos and sin are polynomials on a quadrant (Taylor to degree 11, error below 1e-7), because WGSL lets the built-in ones
// be off by 2^-11. Twin: test/reference/random.ts.
fn standard_normals(words: vec2u) -> vec2f {
  let u = f32((words.x >> 8u) + 1u) * 0x1p-24f;
  // log may return a tiny positive number near u = 1.
  let r = sqrt(max(-2.0 * log(u), 0.0));
  // The top two bits of t choose the quadrant, the other 22 an angle in [-pi/4, pi/4).
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
