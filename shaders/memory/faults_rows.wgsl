// The faults of one source with a zone of rows, without error correction: in bad rows every bit fails with the same probability,
// and in other rows none does. faults_sources.wgsl draws the same bits, but slower; faults_uniform.wgsl explains the method.
// Reference: src/memory/fault_sampler.ts.
#include "struct/fault_zones"

struct Faults {
  key: vec2u,     // key of all draws of the read
  bits: u32,
  limit: u32,     // number of entries of the table
  table: u32,     // index in `fault_table` at which it begins
  first: array<vec4u, 3>,  // entries 0 .. 11; zero from the limit on
  slice: u32,     // first slice of the random numbers
  zones: u32,     // index in `fault_table` at which the words of the units begin
  shift: u32,
  unit: u32,      // block b lies in unit (unit + b) >> shift
  bad: u32,       // the bit of bad rows in the word of a unit
}

fn open_faults(at: u32, origin: u32, image: u32) -> Faults {
  let source = at + ENTRY_SOURCES;
  let table = at + fault_table[source + SOURCE_TABLE];
  let first = array<vec4u, 3>(map_entries(table), map_entries(table + 4u), map_entries(table + 8u));
  let zones = at + fault_table[source + SOURCE_TO];
  return Faults(
    drawn_key(at, source, image),
    fault_table[source + SOURCE_BITS],
    fault_table[source + SOURCE_LIMIT],
    table,
    first,
    fault_table[source + SOURCE_SALT] << 24u,
    zones + ZONES_WORDS,
    fault_table[zones + ZONES_SHIFT],
    fault_table[zones + ZONES_FIRST],
    fault_table[source + SOURCE_FROM],
  );
}

#include "memory/drawn_key.wgsl"
#include "memory/flip_places.wgsl"

fn block_mask(faults: Faults, block: u32, stored: Words) -> Words {
  let zone = fault_table[faults.zones + ((faults.unit + block) >> faults.shift)];
  var random = pcg4d(vec4u(block, faults.slice, faults.key));
  let draw = random.x;
  var count = select(0u, fast_count(faults, draw), (zone & faults.bad) != 0u);
  if (count == ALL) { count = slow_count(faults, draw); }
  var mask = BlockMask();
  var slice = faults.slice;
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
