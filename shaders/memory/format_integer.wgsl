// Two's complement integers of 8 or 4 bits, symmetric: code = round to nearest even of w / scale within +-(2^(n-1) - 1).
// There is one scale for the tensor or, with PER_CHANNEL, one for each row (an output channel). Flips can yield -2^(n-1),
// which encoding never does. Nothing decodes to NaN or infinity. Reference: src/memory/integer.ts.
struct Format {
  bits: u32,
  scales: u32,     // index in `fault_table` at which the (scale, inverse) pairs of the rows begin
  scale: f32,
  inverse_scale: f32,
}

fn open_format(at: u32) -> Format {
  let scale = bitcast<f32>(fault_table[at + ENTRY_SCALE]);
  return Format(fault_table[at + ENTRY_BITS], fault_table[at + ENTRY_SCALES], scale, bitcast<f32>(fault_table[at + ENTRY_INVERSE_SCALE]));
}

fn encode4(format: Format, weight_bits: vec4u, row: u32) -> vec4u {
  var inverse = format.inverse_scale;
  if (PER_CHANNEL) { inverse = bitcast<f32>(fault_table[format.scales + 2u * row + 1u]); }
  let largest = f32((1u << (format.bits - 1u)) - 1u);
  let units = clamp(round(bitcast<vec4f>(weight_bits) * inverse), vec4f(-largest), vec4f(largest));
  return bitcast<vec4u>(vec4i(units)) & vec4u((1u << format.bits) - 1u);
}

fn decode4(format: Format, codes4: vec4u, row: u32) -> vec4f {
  var scale = format.scale;
  if (PER_CHANNEL) { scale = bitcast<f32>(fault_table[format.scales + 2u * row]); }
  let shift = vec4u(32u - STORAGE_BITS);
  return vec4f(bitcast<vec4i>(codes4 << shift) >> shift) * scale;
}
