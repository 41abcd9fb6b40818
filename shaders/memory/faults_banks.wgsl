// The faults of two sources with zones of banks, the first of cells that store 0 and the second of cells that store 1, without
// error correction: how often a cell fails depends on its bank and on what it stores. faults_sources.wgsl draws the same bits,
// but slower; faults_uniform.wgsl explains the method. Neighbouring blocks mostly lie in the same bank, whose first table entries
// are looked up only when the bank changes.
// Reference: src/memory/fault_sampler.ts.
#include "struct/fault_zones"

// One source in the bank at hand.
struct Faults {
  key: vec2u,     // key of all draws of the read
  bits: u32,
  limit: u32,     // number of entries of the table
  table: u32,     // index in `fault_table` at which it begins
  first: array<vec4u, 3>,  // entries 0 .. 11; zero from the limit on
  slice: u32,     // first slice of the random numbers
  source: u32,    // index in `fault_table` of the source
  map: u32,       // index in `fault_table` of the entry
  zones: u32,     // index in `fault_table` at which the words of the units begin
  shift: u32,
  unit: u32,      // block b lies in unit (unit + b) >> shift
}

// The sources in the bank of the last block, and the entry and the bank that they belong to. Their keys are not used.
var<private> of_zeros: Faults;
var<private> of_ones: Faults;
var<private> last_bank: vec2u = vec2u(0xffffffffu);

fn open_faults(at: u32, origin: u32, image: u32) -> Faults {
  let source = at + ENTRY_SOURCES;
  let zones = at + fault_table[source + SOURCE_TO];
  return Faults(
    drawn_key(at, source, image),
    fault_table[source + SOURCE_BITS],
    0u,
    0u,
    array<vec4u, 3>(),
    0u,
    source,
    at,
    zones + ZONES_WORDS,
    fault_table[zones + ZONES_SHIFT],
    fault_table[zones + ZONES_FIRST],
  );
}

#include "memory/drawn_key.wgsl"
#include "memory/flip_places.wgsl"

// A source with the table of a bank.
fn in_bank(faults: Faults, source: u32, bank: u32) -> Faults {
  let record = faults.map + fault_table[source + SOURCE_TABLE] + bank * fault_table[source + SOURCE_LIMIT];
  var found = faults;
  found.limit = fault_table[record];
  found.table = record + 1u;
  found.first = array<vec4u, 3>(map_entries(record + 1u), map_entries(record + 5u), map_entries(record + 9u));
  found.slice = fault_table[source + SOURCE_SALT] << 24u;
  return found;
}

fn source_mask(faults: Faults, key: vec2u, block: u32) -> Words {
  var random = pcg4d(vec4u(block, faults.slice, key));
  let draw = random.x;
  var count = fast_count(faults, draw);
  if (count == ALL) { count = slow_count(faults, draw); }
  var mask = BlockMask();
  var slice = faults.slice;
  var left = 3u;  // words of `random` not yet used
  while (mask.flips < count) {
    random = random.yzwx;
    if (left == 0u) {
      slice++;
      random = pcg4d(vec4u(block, slice, key));
      left = 4u;
    }
    left--;
    mask = flip_word(mask, random.x, faults.bits, count);
  }
  return mask.words;
}

fn block_mask(faults: Faults, block: u32, stored: Words) -> Words {
  let bank = fault_table[faults.zones + ((faults.unit + block) >> faults.shift)] & 0xffffu;
  // A loop rather than a branch: it costs nothing while no lane changes its bank.
  while (last_bank.x != faults.map || last_bank.y != bank) {
    of_zeros = in_bank(faults, faults.source, bank);
    of_ones = in_bank(faults, faults.source + SOURCE_WORDS, bank);
    last_bank = vec2u(faults.map, bank);
  }
  let zeros = words_and(source_mask(of_zeros, faults.key, block), words_not(stored));
  return words_or(zeros, words_and(source_mask(of_ones, faults.key, block), stored));
}
