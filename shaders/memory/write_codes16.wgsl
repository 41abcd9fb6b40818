// Writes a block of fixed-point codes of 9 to 15 bits as codes of 16 bits, half the size of f32, which a product decodes as
// it loads them (gemm/b_codes16.wgsl): 2 m for a magnitude m, 1 - 2 m if the sign is set, in two's complement.
// Pads may hold any code; it is finite, and products multiply it by zero. Included as <retained>.
// Reference: decodeCode16 in src/memory/fixed_point.ts, which decodes them.
@group(0) @binding(2) var<storage, read_write> fetched: array<Words>;

fn write_words(read: Read, block: u32, words: Words) {
  fetched[block] = Words(codes16(read.format, words.low), codes16(read.format, words.high));
}

// Converts two codes per word, without shifts, which a software adapter does lane by lane.
fn codes16(format: Format, codes2: vec4u) -> vec4u {
  let sign = vec4u(format.magnitude + 1u);
  let even = 2u * (codes2 & vec4u(format.magnitude));
  let odd = 2u * (codes2 & vec4u(format.magnitude * 65536u));
  let even16 = select(even, (1u - even) & vec4u(0xffffu), (codes2 & sign) != vec4u());
  let odd16 = select(odd, 65536u - odd, (codes2 & (sign * 65536u)) != vec4u());
  return even16 | odd16;
}
