// 16 codes of 4 bits each as they lie in memory: eight per u32, the first in the lowest bits. A block is 8 bytes.
// The functions are those of words_16.wgsl.
struct Words {
  all: vec2u,
}

const STORAGE_BITS: u32 = 4u;

fn words_or(a: Words, b: Words) -> Words { return Words(a.all | b.all); }
fn words_and(a: Words, b: Words) -> Words { return Words(a.all & b.all); }
fn words_xor(a: Words, b: Words) -> Words { return Words(a.all ^ b.all); }
fn words_not(a: Words) -> Words { return Words(~a.all); }
fn words_any(a: Words) -> bool { return (a.all.x | a.all.y) != 0u; }
fn words_of(word: u32, bits: u32) -> Words { return Words(select(vec2u(), vec2u(bits), vec2u(word) == vec2u(0u, 1u))); }

const PAIRS: u32 = 1u;

fn words_pair(a: Words, i: u32) -> vec2u { return a.all; }
fn words_of_pair(i: u32, pair: vec2u) -> Words { return Words(pair); }

fn four_codes(a: Words, q: u32) -> vec4u {
  let word = select(a.all.x, a.all.y, q >= 2u) >> (16u * (q & 1u));
  return (vec4u(word) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(0xfu);
}

fn eight_codes(first: vec4u, second: vec4u) -> u32 {
  let a = first << vec4u(0u, 4u, 8u, 12u);
  let b = second << vec4u(16u, 20u, 24u, 28u);
  return a.x | a.y | a.z | a.w | b.x | b.y | b.z | b.w;
}

fn pack_codes(c0: vec4u, c1: vec4u, c2: vec4u, c3: vec4u) -> Words {
  return Words(vec2u(eight_codes(c0, c1), eight_codes(c2, c3)));
}
