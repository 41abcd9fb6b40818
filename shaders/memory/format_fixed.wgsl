// Sign-magnitude fixed point of n bits, the highest of which is the sign. One unit of the magnitude is the entry's scale, a
// power of two.
// corrected: round to nearest even, saturate.   faithful: truncate toward zero, wrap modulo 2^(n-1), as published.
// A weight of zero gets code 0; nothing ever decodes to NaN or infinity.
// Reference: src/memory/fixed_point.ts.
struct Format {
  bits: u32,
  magnitude: u32,  // mask of the bits of a code without its sign
  lift: u32,       // factor that moves the sign of a code to bit 31
  scale: f32,
  inverse_scale: f32,
}

fn open_format(at: u32) -> Format {
  let bits = fault_table[at + ENTRY_BITS];
  let sign = 1u << (bits - 1u);
  return Format(bits, sign - 1u, 1u << (32u - bits), bitcast<f32>(fault_table[at + ENTRY_SCALE]), bitcast<f32>(fault_table[at + ENTRY_INVERSE_SCALE]));
}

fn encode4(format: Format, weight_bits: vec4u, row: u32) -> vec4u {
  let w = bitcast<vec4f>(weight_bits);
  let range = f32(format.magnitude + 1u);
  let units = abs(w) * format.inverse_scale;  // exact: the scale is a power of two
  var magnitude: vec4f;
  if (FAITHFUL) {
    // Multiplying by 2^-(n-1), built from its bits, is exact: WGSL allows an error of 2.5 ulp in a division, which floor
    // could turn into a whole unit.
    let whole = trunc(units);
    magnitude = whole - floor(whole * bitcast<f32>((128u - format.bits) << 23u)) * range;
  } else {
    magnitude = min(round(units), vec4f(range - 1.0));
  }
  return vec4u(magnitude) | select(vec4u(), vec4u(format.magnitude + 1u), w < vec4f());
}

// Magnitude times a power of two, then the sign bit.
fn decode4(format: Format, codes4: vec4u, row: u32) -> vec4f {
  let magnitude = vec4f(vec4i(codes4 & vec4u(format.magnitude))) * format.scale;
  return bitcast<vec4f>(bitcast<vec4u>(magnitude) | ((codes4 * format.lift) & vec4u(0x80000000u)));
}
