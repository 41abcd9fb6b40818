// 16 codes of 16 bits each as they lie in memory: two per u32, the even one in the low half. A block is 32 bytes.
struct Words {
  low: vec4u,
  high: vec4u,
}

const STORAGE_BITS: u32 = 16u;

fn words_or(a: Words, b: Words) -> Words { return Words(a.low | b.low, a.high | b.high); }
fn words_and(a: Words, b: Words) -> Words { return Words(a.low & b.low, a.high & b.high); }
fn words_xor(a: Words, b: Words) -> Words { return Words(a.low ^ b.low, a.high ^ b.high); }
fn words_not(a: Words) -> Words { return Words(~a.low, ~a.high); }

fn words_any(a: Words) -> bool {
  let both = a.low | a.high;
  return (both.x | both.y | both.z | both.w) != 0u;
}

// `bits` in word `word`, zero in the others.
fn words_of(word: u32, bits: u32) -> Words {
  let here = vec4u(word);
  return Words(
    select(vec4u(), vec4u(bits), here == vec4u(0u, 1u, 2u, 3u)),
    select(vec4u(), vec4u(bits), here == vec4u(4u, 5u, 6u, 7u)),
  );
}

// The i-th 64 bits of the block, low word first.
const PAIRS: u32 = 4u;

fn words_pair(a: Words, i: u32) -> vec2u {
  let half = select(a.low, a.high, i >= 2u);
  return select(half.xy, half.zw, (i & 1u) == 1u);
}

fn words_of_pair(i: u32, pair: vec2u) -> Words {
  return words_or(words_of(2u * i, pair.x), words_of(2u * i + 1u, pair.y));
}

// Codes 4 q .. 4 q + 3, one per component.
fn four_codes(a: Words, q: u32) -> vec4u {
  let pair = words_pair(a, q);
  return vec4u(pair.x & 0xffffu, pair.x >> 16u, pair.y & 0xffffu, pair.y >> 16u);
}

fn pack_codes(c0: vec4u, c1: vec4u, c2: vec4u, c3: vec4u) -> Words {
  let shift = vec4u(0u, 16u, 0u, 16u);
  let s0 = c0 << shift;
  let s1 = c1 << shift;
  let s2 = c2 << shift;
  let s3 = c3 << shift;
  return Words(
    vec4u(s0.x | s0.y, s0.z | s0.w, s1.x | s1.y, s1.z | s1.w),
    vec4u(s2.x | s2.y, s2.z | s2.w, s3.x | s3.y, s3.z | s3.w),
  );
}
