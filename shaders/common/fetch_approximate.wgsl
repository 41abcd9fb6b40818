// One fetch of 16 stored weights from approximate memory: code XOR mask(address, read), decoded to f32.
//
// The memory image holds one 12-bit (n-bit) sign-magnitude code a weight, two a u32 (low half first), 16 a block: a block
// is 8 words, 32 bytes, and is the unit in which faults are drawn. Rows of a matrix start on a block.
// A draw is exact and nested: one random u32 gives the number K of flipped bits of the block's 16 n bits through the
// binomial quantile table (bit for bit the inverse of its distribution function in steps of 2^-32), then the first K
// places of a random sequence without repeats are flipped. The table is the only thing that depends on the error rate,
// so a bit that fails at one rate fails at every higher one.
//
// Needs of the including shader: `codes: array<vec4u>` (two a block), `maps: array<u32>` (MAP_WORDS a tensor, laid out
// below), `step: Step`, PASS_OFFSET. TypeScript twin: src/memory/fault_map.ts and fixed_point.ts.
#include "common/hash.wgsl"

const MAP_WORDS: u32 = 264u;
const MAP_KEY: u32 = 0u;            // two words: hash of seed, chip and tensor
const MAP_READ: u32 = 2u;           // read counter, to which the pass is added
const MAP_GRANULARITY: u32 = 3u;    // 0 fixed for all passes (chip, load), 1 pass, 2 inference
const MAP_SCALE: u32 = 4u;          // f32: value of one unit of the magnitude
const MAP_INVERSE_SCALE: u32 = 5u;  // f32
const MAP_BITS: u32 = 6u;           // n, sign included
const MAP_LIMIT: u32 = 7u;          // entries used of the table
const MAP_TABLE: u32 = 8u;          // entry k: at least k + 1 bits flip when the draw is <= it

struct BlockMask {
  low: vec4u,   // words 0 .. 3 of the block
  high: vec4u,  // words 4 .. 7
}

// The key of everything this read draws from tensor `map`, for image `image` at granularity `inference`.
fn read_key(map: u32, image: u32) -> vec2u {
  let at = map * MAP_WORDS;
  let granularity = maps[at + MAP_GRANULARITY];
  let read = maps[at + MAP_READ] + select(0u, step.pass_index + PASS_OFFSET, granularity > 0u);
  return pcg4d(vec4u(maps[at + MAP_KEY], maps[at + MAP_KEY + 1u], read, select(0u, image + 1u, granularity == 2u))).xy;
}

fn block_mask(map: u32, key: vec2u, block: u32) -> BlockMask {
  let at = map * MAP_WORDS;
  let limit = maps[at + MAP_LIMIT];
  var random = pcg4d(vec4u(block, 0u, key));
  let draw = random.x;
  var mask = BlockMask();
  if (limit == 0u || draw > maps[at + MAP_TABLE]) { return mask; }
  let bits = maps[at + MAP_BITS];
  var flips = 0u;
  var slice = 0u;
  var left = 12u;  // bytes of `random` not yet used; each is a place: 4 bits code, 4 bits bit
  random = random.yzwx;
  while (flips < limit && draw <= maps[at + MAP_TABLE + flips]) {
    if (left == 0u) {
      slice++;
      random = pcg4d(vec4u(block, slice, key));
      left = 16u;
    }
    let place = random.x & 0xffu;
    random.x >>= 8u;
    left--;
    if ((left & 3u) == 0u) { random = random.yzwx; }
    let bit = place & 15u;
    let code = place >> 4u;
    if (bit < bits) {
      let word = vec4u(code >> 1u);
      let flip = vec4u(1u << (bit + (code & 1u) * 16u));
      let low = select(vec4u(), flip, word == vec4u(0u, 1u, 2u, 3u));
      let high = select(vec4u(), flip, word == vec4u(4u, 5u, 6u, 7u));
      if (all((mask.low & low) == vec4u()) && all((mask.high & high) == vec4u())) {
        mask.low |= low;
        mask.high |= high;
        flips++;
      }
    }
  }
  return mask;
}

// Four codes in two words -> four f32. Never NaN or infinite: magnitude times a power of two, then the sign bit.
fn decode4(first: u32, second: u32, bits: u32, scale: f32) -> vec4f {
  let codes4 = vec4u(first & 0xffffu, first >> 16u, second & 0xffffu, second >> 16u);
  let magnitude = codes4 & vec4u((1u << (bits - 1u)) - 1u);
  let sign = (codes4 >> vec4u(bits - 1u)) << vec4u(31u);
  return bitcast<vec4f>(bitcast<vec4u>(vec4f(magnitude) * scale) | sign);
}

// Block `block` of tensor `map`, whose image starts at block `origin` of `codes`; key from read_key.
// Component j of column i of the result is weight 4 i + j of the block.
fn fetch_block(map: u32, origin: u32, key: vec2u, block: u32) -> mat4x4f {
  let mask = block_mask(map, key, block);
  let low = codes[(origin + block) * 2u] ^ mask.low;
  let high = codes[(origin + block) * 2u + 1u] ^ mask.high;
  let bits = maps[map * MAP_WORDS + MAP_BITS];
  let scale = bitcast<f32>(maps[map * MAP_WORDS + MAP_SCALE]);
  return mat4x4f(
    decode4(low.x, low.y, bits, scale),
    decode4(low.z, low.w, bits, scale),
    decode4(high.x, high.y, bits, scale),
    decode4(high.z, high.w, bits, scale),
  );
}
