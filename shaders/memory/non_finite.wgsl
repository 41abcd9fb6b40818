// The policy of a float format for a code whose exponent bits are all ones. It uses the bits, because WGSL may assume that
// there is no NaN. NON_FINITE 0: keep it. 1: zero. 2: the largest finite value of the format, with the code's sign.
fn without_non_finite(bits: vec4u, largest: u32) -> vec4f {
  if (NON_FINITE == 0u) { return bitcast<vec4f>(bits); }
  let replacement = select(vec4u(), (bits & vec4u(0x80000000u)) | vec4u(largest), NON_FINITE == 2u);
  return bitcast<vec4f>(select(bits, replacement, (bits & vec4u(0x7f800000u)) == vec4u(0x7f800000u)));
}
