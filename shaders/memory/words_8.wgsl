// 16 codes of 8 bits each as they lie in memory: four per u32, the first in the lowest byte. A block is 16 bytes.
// The functions are those of words_16.wgsl.
struct Words {
  all: vec4u,
}

const STORAGE_BITS: u32 = 8u;

fn words_or(a: Words, b: Words) -> Words { return Words(a.all | b.all); }
fn words_and(a: Words, b: Words) -> Words { return Words(a.all & b.all); }
fn words_xor(a: Words, b: Words) -> Words { return Words(a.all ^ b.all); }
fn words_not(a: Words) -> Words { return Words(~a.all); }
fn words_any(a: Words) -> bool { return (a.all.x | a.all.y | a.all.z | a.all.w) != 0u; }

fn words_of(word: u32, bits: u32) -> Words {
  return Words(select(vec4u(), vec4u(bits), vec4u(word) == vec4u(0u, 1u, 2u, 3u)));
}

const PAIRS: u32 = 2u;

fn words_pair(a: Words, i: u32) -> vec2u { return select(a.all.xy, a.all.zw, i == 1u); }

fn words_of_pair(i: u32, pair: vec2u) -> Words {
  return words_or(words_of(2u * i, pair.x), words_of(2u * i + 1u, pair.y));
}

fn four_codes(a: Words, q: u32) -> vec4u {
  let pair = words_pair(a, q >> 1u);
  return (vec4u(select(pair.x, pair.y, (q & 1u) == 1u)) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu);
}

fn pack_codes(c0: vec4u, c1: vec4u, c2: vec4u, c3: vec4u) -> Words {
  let shift = vec4u(0u, 8u, 16u, 24u);
  let s0 = c0 << shift;
  let s1 = c1 << shift;
  let s2 = c2 << shift;
  let s3 = c3 << shift;
  return Words(vec4u(
    s0.x | s0.y | s0.z | s0.w,
    s1.x | s1.y | s1.z | s1.w,
    s2.x | s2.y | s2.z | s2.w,
    s3.x | s3.y | s3.z | s3.w,
  ));
}
