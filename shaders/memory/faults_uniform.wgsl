// The faults of one source that is the same for all cells: every bit of every code fails with the same probability.
//
// A draw is exact and nested: one random u32 gives the number K of flipped bits of the block's 16 n bits through the
// binomial quantile table (bit for bit the inverse of its distribution function in steps of 2^-32), then the first K
// places of a random sequence without repeats are flipped. The table is the only thing that depends on the error rate,
// so a bit that fails at one rate fails at every higher one.
//
// open_faults looks up the values that all blocks of a read share once, including the first entries of the table. A turn of
// the loop takes all places of a random word without a branch, because turns and branches in which lanes differ are
// expensive. faults_sources.wgsl draws the same bits for such a source, but slower.
// Reference: src/memory/fault_sampler.ts.
struct Faults {
  key: vec2u,     // key of all draws of the read
  bits: u32,
  limit: u32,     // number of entries of the table
  table: u32,     // index in `fault_table` at which it begins
  first: array<vec4u, 3>,  // entries 0 .. 11; zero from the limit on
}

fn open_faults(at: u32, origin: u32, image: u32) -> Faults {
  let source = at + ENTRY_SOURCES;
  let table = at + fault_table[source + SOURCE_TABLE];
  let first = array<vec4u, 3>(map_entries(table), map_entries(table + 4u), map_entries(table + 8u));
  return Faults(read_key(at, image), fault_table[source + SOURCE_BITS], fault_table[source + SOURCE_LIMIT], table, first);
}

#include "memory/flip_places.wgsl"

fn block_mask(faults: Faults, block: u32, stored: Words) -> Words {
  var random = pcg4d(vec4u(block, 0u, faults.key));
  let draw = random.x;
  var count = fast_count(faults, draw);
  if (count == ALL) { count = slow_count(faults, draw); }
  var mask = BlockMask();
  var slice = 0u;
  var left = 3u;  // words of `random` not yet used
  while (mask.flips < count) {
    random = random.yzwx;
    if (left == 0u) {
      slice++;
      random = pcg4d(vec4u(block, slice, faults.key));
      left = 4u;
    }
    left--;
    mask = flip_word(mask, random.x, faults.bits, count);
  }
  return mask.words;
}
