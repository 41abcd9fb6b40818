// Fixed point of n bits in two's complement. One unit is the entry's scale, a power of two; codes are symmetric about zero,
// within +-(2^(n-1) - 1), so that the values are those of format_fixed.wgsl. Flips can yield -2^(n-1), which encoding never
// does. Nothing decodes to NaN or infinity.
// Reference: encodeTwosComplement in src/memory/fixed_point.ts, decodeInteger in src/memory/integer.ts.
struct Format {
  bits: u32,
  scale: f32,
  inverse_scale: f32,
}

fn open_format(at: u32) -> Format {
  return Format(fault_table[at + ENTRY_BITS], bitcast<f32>(fault_table[at + ENTRY_SCALE]), bitcast<f32>(fault_table[at + ENTRY_INVERSE_SCALE]));
}

fn encode4(format: Format, weight_bits: vec4u, row: u32) -> vec4u {
  let largest = f32((1u << (format.bits - 1u)) - 1u);
  let units = clamp(round(bitcast<vec4f>(weight_bits) * format.inverse_scale), vec4f(-largest), vec4f(largest));
  return bitcast<vec4u>(vec4i(units)) & vec4u((1u << format.bits) - 1u);
}

fn decode4(format: Format, codes4: vec4u, row: u32) -> vec4f {
  let shift = vec4u(32u - format.bits);
  return vec4f(bitcast<vec4i>(codes4 << shift) >> shift) * format.scale;
}
