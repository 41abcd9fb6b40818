// 16 codes of 32 bits each as they lie in memory: one per u32. A block is 64 bytes.
// The functions are those of words_16.wgsl.
struct Words {
  a: vec4u,
  b: vec4u,
  c: vec4u,
  d: vec4u,
}

const STORAGE_BITS: u32 = 32u;

fn words_or(x: Words, y: Words) -> Words { return Words(x.a | y.a, x.b | y.b, x.c | y.c, x.d | y.d); }
fn words_and(x: Words, y: Words) -> Words { return Words(x.a & y.a, x.b & y.b, x.c & y.c, x.d & y.d); }
fn words_xor(x: Words, y: Words) -> Words { return Words(x.a ^ y.a, x.b ^ y.b, x.c ^ y.c, x.d ^ y.d); }
fn words_not(x: Words) -> Words { return Words(~x.a, ~x.b, ~x.c, ~x.d); }

fn words_any(x: Words) -> bool {
  let all = x.a | x.b | x.c | x.d;
  return (all.x | all.y | all.z | all.w) != 0u;
}

fn words_of(word: u32, bits: u32) -> Words {
  let here = vec4u(word);
  let value = vec4u(bits);
  return Words(
    select(vec4u(), value, here == vec4u(0u, 1u, 2u, 3u)),
    select(vec4u(), value, here == vec4u(4u, 5u, 6u, 7u)),
    select(vec4u(), value, here == vec4u(8u, 9u, 10u, 11u)),
    select(vec4u(), value, here == vec4u(12u, 13u, 14u, 15u)),
  );
}

const PAIRS: u32 = 8u;

fn words_pair(x: Words, i: u32) -> vec2u {
  let four = four_codes(x, i >> 1u);
  return select(four.xy, four.zw, (i & 1u) == 1u);
}

fn words_of_pair(i: u32, pair: vec2u) -> Words {
  return words_or(words_of(2u * i, pair.x), words_of(2u * i + 1u, pair.y));
}

fn four_codes(x: Words, q: u32) -> vec4u {
  return select(select(x.a, x.b, q == 1u), select(x.c, x.d, q == 3u), q >= 2u);
}

fn pack_codes(c0: vec4u, c1: vec4u, c2: vec4u, c3: vec4u) -> Words { return Words(c0, c1, c2, c3); }
