// One fetch of 16 stored weights from approximate memory: code XOR mask(address, read), decoded to f32.
//
// The memory image holds one 12-bit (n-bit) sign-magnitude code a weight, two a u32 (low half first), 16 a block: a block
// is 8 words, 32 bytes, and is the unit in which faults are drawn. Rows of a matrix start on a block.
// A draw is exact and nested: one random u32 gives the number K of flipped bits of the block's 16 n bits through the
// binomial quantile table (bit for bit the inverse of its distribution function in steps of 2^-32), then the first K
// places of a random sequence without repeats are flipped. The table is the only thing that depends on the error rate,
// so a bit that fails at one rate fails at every higher one.
//
// What is the same for all blocks of a read is looked up once, by open_read, the first entries of the table among it: an
// invocation opens a read and fetches many blocks. A turn of the loop takes four places, without a branch: where lanes
// differ, a loop's turns and branches are what costs.
//
// Needs of the including shader: `codes: array<Block>`, `maps: array<u32>` (MAP_WORDS a tensor, laid out below),
// `step: Step`, PASS_OFFSET. TypeScript twin: src/memory/fault_map.ts and fixed_point.ts.
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

// Eight words: words 0 .. 3 and 4 .. 7 of a block of codes or of its mask.
struct Block {
  low: vec4u,
  high: vec4u,
}

// One read of one tensor.
struct Read {
  key: vec2u,     // of everything it draws
  origin: u32,    // the tensor's first block in `codes`
  map: u32,       // where its map begins in `maps`
  bits: u32,
  magnitude: u32,  // the bits of a code but for its sign
  lift: u32,       // brings a code's sign to bit 31
  scale: f32,
  limit: u32,
  table: array<vec4u, 3>,  // entries 0 .. 11; what lies behind the limit does not matter
}

// Opens the read of tensor `map`, whose image starts at block `origin`, for image `image` at granularity `inference`.
fn open_read(map: u32, origin: u32, image: u32) -> Read {
  let at = map * MAP_WORDS;
  let granularity = maps[at + MAP_GRANULARITY];
  let read = maps[at + MAP_READ] + select(0u, step.pass_index + PASS_OFFSET, granularity > 0u);
  let key = pcg4d(vec4u(maps[at + MAP_KEY], maps[at + MAP_KEY + 1u], read, select(0u, image + 1u, granularity == 2u)));
  let bits = maps[at + MAP_BITS];
  let table = array<vec4u, 3>(map_entries(at), map_entries(at + 4u), map_entries(at + 8u));
  let scale = bitcast<f32>(maps[at + MAP_SCALE]);
  let sign = 1u << (bits - 1u);
  return Read(key.xy, origin, at, bits, sign - 1u, 1u << (32u - bits), scale, maps[at + MAP_LIMIT], table);
}

fn map_entries(at: u32) -> vec4u {
  return vec4u(maps[at + MAP_TABLE], maps[at + MAP_TABLE + 1u], maps[at + MAP_TABLE + 2u], maps[at + MAP_TABLE + 3u]);
}

// How many bits of a block flip, as far as the first 12 entries tell: entries fall, so as many as are not below the draw.
// ALL where all of them are not: the three words of places that come with the draw are used up before it is known.
const ALL: u32 = 0xffffffffu;

fn early_count(read: Read, draw: u32) -> u32 {
  let one = vec4u(1u);
  let held = select(vec4u(), one, vec4u(draw) <= read.table[0])
    + select(vec4u(), one, vec4u(draw) <= read.table[1])
    + select(vec4u(), one, vec4u(draw) <= read.table[2]);
  let count = min(read.limit, held.x + held.y + held.z + held.w);
  return select(count, ALL, count == 12u);
}

fn late_count(read: Read, draw: u32) -> u32 {
  var count = 12u;
  while (count < read.limit && draw <= maps[read.map + MAP_TABLE + count]) { count++; }
  return count;
}

struct BlockMask {
  low: vec4u,
  high: vec4u,
  flips: u32,
}

// Flips one more bit, if fewer than `count` are and the place (a byte: 4 bits code, 4 bits bit) is one that is not flipped.
fn flip_place(mask: BlockMask, place: u32, bits: u32, count: u32) -> BlockMask {
  let bit = place & 15u;
  let code = (place >> 4u) & 15u;
  let flip = vec4u(select(0u, 1u << (bit + (code & 1u) * 16u), bit < bits && mask.flips < count));
  let word = vec4u(code >> 1u);
  let low = select(vec4u(), flip, word == vec4u(0u, 1u, 2u, 3u)) & ~mask.low;
  let high = select(vec4u(), flip, word == vec4u(4u, 5u, 6u, 7u)) & ~mask.high;
  let both = low | high;
  let added = select(0u, 1u, (both.x | both.y | both.z | both.w) != 0u);
  return BlockMask(mask.low | low, mask.high | high, mask.flips + added);
}

fn block_mask(read: Read, block: u32) -> Block {
  var random = pcg4d(vec4u(block, 0u, read.key));
  let draw = random.x;
  var count = early_count(read, draw);
  var mask = BlockMask();
  var slice = 0u;
  var left = 3u;  // words of `random` not yet used
  while (mask.flips < count) {
    random = random.yzwx;
    if (left == 0u) {
      if (count == ALL) { count = late_count(read, draw); }
      slice++;
      random = pcg4d(vec4u(block, slice, read.key));
      left = 4u;
    }
    left--;
    mask = flip_place(mask, random.x, read.bits, count);
    mask = flip_place(mask, random.x >> 8u, read.bits, count);
    mask = flip_place(mask, random.x >> 16u, read.bits, count);
    mask = flip_place(mask, random.x >> 24u, read.bits, count);
  }
  return Block(mask.low, mask.high);
}

// Four codes in two words -> four f32. Never NaN or infinite: magnitude times a power of two, then the sign bit.
fn decode4(read: Read, first: u32, second: u32) -> vec4f {
  let codes4 = vec4u(first & 0xffffu, first >> 16u, second & 0xffffu, second >> 16u);
  let magnitude = vec4f(vec4i(codes4 & vec4u(read.magnitude))) * read.scale;
  return bitcast<vec4f>(bitcast<vec4u>(magnitude) | ((codes4 * read.lift) & vec4u(0x80000000u)));
}

// Block `block` of the tensor. Component j of column i of the result is weight 4 i + j of the block.
fn fetch_block(read: Read, block: u32) -> mat4x4f {
  let mask = block_mask(read, block);
  let stored = codes[read.origin + block];
  let low = stored.low ^ mask.low;
  let high = stored.high ^ mask.high;
  return mat4x4f(
    decode4(read, low.x, low.y),
    decode4(read, low.z, low.w),
    decode4(read, high.x, high.y),
    decode4(read, high.z, high.w),
  );
}
