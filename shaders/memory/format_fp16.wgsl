// IEEE 754 binary16. Encoding rounds to nearest even and saturates at 65504 instead of overflowing; all on integers, so
// that the result does not depend on an adapter's treatment of subnormals. Reference: src/memory/floating_point.ts.
#include "memory/non_finite.wgsl"

struct Format {
  unused: u32,
}

fn open_format(at: u32) -> Format { return Format(0u); }

fn encode4(format: Format, weight_bits: vec4u, row: u32) -> vec4u {
  let magnitude = weight_bits & vec4u(0x7fffffffu);
  let rebased = magnitude - vec4u(0x38000000u);  // exponent bias 127 -> 15
  let normal = (rebased + vec4u(0xfffu) + ((rebased >> vec4u(13u)) & vec4u(1u))) >> vec4u(13u);
  // Below 2^-14 a code counts units of 2^-24.
  let subnormal = vec4u(round(bitcast<vec4f>(min(magnitude, vec4u(0x38800000u))) * 16777216.0));
  let code = select(min(normal, vec4u(0x7bffu)), subnormal, magnitude < vec4u(0x38800000u));
  return code | ((weight_bits >> vec4u(16u)) & vec4u(0x8000u));
}

fn decode4(format: Format, codes4: vec4u, row: u32) -> vec4f {
  let magnitude = codes4 & vec4u(0x7fffu);
  let subnormal = bitcast<vec4u>(vec4f(vec4i(magnitude)) * bitcast<f32>(0x33800000u));  // times 2^-24, exact
  let normal = (magnitude << vec4u(13u)) + vec4u(0x38000000u);
  let non_finite = (magnitude << vec4u(13u)) | vec4u(0x7f800000u);
  let finite = select(normal, subnormal, magnitude < vec4u(0x400u));
  let bits = select(finite, non_finite, magnitude >= vec4u(0x7c00u));
  return without_non_finite(bits | ((codes4 & vec4u(0x8000u)) << vec4u(16u)), 0x477fe000u);
}
