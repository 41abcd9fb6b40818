// IEEE 754 binary32: the stored word is the weight. Reference: src/memory/floating_point.ts.
#include "memory/non_finite.wgsl"

struct Format {
  unused: u32,
}

fn open_format(at: u32) -> Format { return Format(0u); }
fn encode4(format: Format, weight_bits: vec4u, row: u32) -> vec4u { return weight_bits; }
fn decode4(format: Format, codes4: vec4u, row: u32) -> vec4f { return without_non_finite(codes4, 0x7f7fffffu); }
