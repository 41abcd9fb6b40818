// bfloat16, the upper half of a binary32. Encoding rounds to nearest even and saturates instead of overflowing.
// Reference: src/memory/floating_point.ts.
#include "memory/non_finite.wgsl"

struct Format {
  unused: u32,
}

fn open_format(at: u32) -> Format { return Format(0u); }

fn encode4(format: Format, weight_bits: vec4u, row: u32) -> vec4u {
  let magnitude = weight_bits & vec4u(0x7fffffffu);
  let rounded = (magnitude + vec4u(0x7fffu) + ((magnitude >> vec4u(16u)) & vec4u(1u))) >> vec4u(16u);
  return min(rounded, vec4u(0x7f7fu)) | ((weight_bits >> vec4u(16u)) & vec4u(0x8000u));
}

fn decode4(format: Format, codes4: vec4u, row: u32) -> vec4f {
  return without_non_finite(codes4 << vec4u(16u), 0x7f7f0000u);
}
