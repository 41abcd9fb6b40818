// Looks up the number of drawn cells of a block in the first entries of a table of `Faults`, and flips so many places.
fn map_entries(at: u32) -> vec4u { return vec4u(fault_table[at], fault_table[at + 1u], fault_table[at + 2u], fault_table[at + 3u]); }

// fast_count returns this if the first 12 entries do not determine the number of flips, so that slow_count has to.
const ALL: u32 = 0xffffffffu;

// Number of bits of a block that flip: the number of entries that are not below the draw, because entries decrease.
fn fast_count(faults: Faults, draw: u32) -> u32 {
  let one = vec4u(1u);
  let held = select(vec4u(), one, vec4u(draw) <= faults.first[0])
    + select(vec4u(), one, vec4u(draw) <= faults.first[1])
    + select(vec4u(), one, vec4u(draw) <= faults.first[2]);
  let count = min(faults.limit, held.x + held.y + held.z + held.w);
  return select(count, ALL, count == 12u);
}

fn slow_count(faults: Faults, draw: u32) -> u32 {
  var count = 12u;
  while (count < faults.limit && draw <= fault_table[faults.table + count]) { count++; }
  return count;
}

struct BlockMask {
  words: Words,
  flips: u32,
}

// Flips one more cell, if fewer than `count` are flipped and the place exists and is not flipped yet.
fn flip_place(mask: BlockMask, random: u32, bits: u32, count: u32) -> BlockMask {
  let place = random & (16u * STORAGE_BITS - 1u);
  let flip = select(0u, 1u << (place & 31u), (place & (STORAGE_BITS - 1u)) < bits && mask.flips < count);
  let words = words_and(words_of(place >> 5u, flip), words_not(mask.words));
  return BlockMask(words_or(mask.words, words), mask.flips + select(0u, 1u, words_any(words)));
}

// Applies flip_place to all places of a random word.
fn flip_word(before: BlockMask, random: u32, bits: u32, count: u32) -> BlockMask {
  var mask = flip_place(before, random, bits, count);
  if (STORAGE_BITS < 32u) { mask = flip_place(mask, random >> 8u, bits, count); }
  mask = flip_place(mask, random >> 16u, bits, count);
  if (STORAGE_BITS < 32u) { mask = flip_place(mask, random >> 24u, bits, count); }
  return mask;
}