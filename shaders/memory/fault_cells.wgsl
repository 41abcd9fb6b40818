// The faults of any number of sources (src/memory/faults.ts), and their correction by a SECDED(72,64) code.
//
// Every source draws cells of a block as faults_uniform.wgsl does, from separate random numbers: exact and nested. A drawn
// cell fails if it meets conditions that do not depend on the rate: the stored value, the line of the cell (LINES, and EACH
// for bitlines), and the chance to fail in this read (EACH). A cell that any source fails reads the wrong value; a stuck
// cell reads its stuck value. ECC 1, 2: 8 check bits for every 64 stored bits lie in the same memory and fail in the same
// way; a word with a detected but uncorrectable error reads zero (1) or without correction (2).
// Reference: blockFaults in src/memory/fault_sampler.ts.
#include "memory/secded.wgsl"

struct Faults {
  map: u32,       // index in `fault_table` at which the tensor's entry begins
  origin: u32,    // first block of the tensor in the image
  chip_key: vec2u,
  load_key: vec2u,
  read_key: vec2u,
  device: vec2u,
}

// A set of cells of a block: its words and, with ECC, the check bits, one byte per 64 bits.
struct Cells {
  words: Words,
  check: vec2u,
}

fn cells_or(a: Cells, b: Cells) -> Cells { return Cells(words_or(a.words, b.words), a.check | b.check); }
fn cells_and(a: Cells, b: Cells) -> Cells { return Cells(words_and(a.words, b.words), a.check & b.check); }
fn cells_not(a: Cells) -> Cells { return Cells(words_not(a.words), ~a.check); }
fn cells_any(a: Cells) -> bool { return words_any(a.words) || (a.check.x | a.check.y) != 0u; }

fn open_faults(at: u32, origin: u32, image: u32) -> Faults {
  let key = vec2u(fault_table[at + ENTRY_KEY], fault_table[at + ENTRY_KEY + 1u]);
  let chip_key = pcg4d(vec4u(key, 0u, 0u)).xy;
  let load_key = pcg4d(vec4u(key, fault_table[at + ENTRY_LOAD], 0u)).xy;
  let device = vec2u(fault_table[at + ENTRY_DEVICE], fault_table[at + ENTRY_DEVICE + 1u]);
  return Faults(at, origin, chip_key, load_key, read_key(at, image), device);
}

// A place takes 16 bits of a random word with 32-bit codes or with check bits (whose places follow the data's), else 8.
const WIDE: bool = ECC > 0u || STORAGE_BITS == 32u;
const PLACE_MASK: u32 = select(16u, 32u, ECC > 0u) * STORAGE_BITS - 1u;

// The cell at a place; the empty set if the source has no cell there or if it is not wanted.
fn cell_at(source: u32, place: u32, wanted: bool) -> Cells {
  let inside = (place & (STORAGE_BITS - 1u)) < fault_table[source + SOURCE_BITS];
  let cell = place + fault_table[source + SOURCE_FIRST_BIT];
  let bit = 1u << (cell & 31u);
  if (ECC == 0u) { return Cells(words_of(cell >> 5u, select(0u, bit, wanted && inside)), vec2u()); }
  let data = place < 16u * STORAGE_BITS;
  let check = select(0u, 1u << (place & 31u), wanted && !data && place < 18u * STORAGE_BITS);
  let second = place - 16u * STORAGE_BITS >= 32u;
  return Cells(
    words_of(cell >> 5u, select(0u, bit, wanted && data && inside)),
    vec2u(select(check, 0u, second), select(0u, check, second)),
  );
}

fn line_hash(faults: Faults, kind: u32, line: u32) -> u32 { return pcg4d(vec4u(line, kind, faults.device)).x; }

fn in_lines(source: u32, hash: u32) -> bool { return fault_table[source + SOURCE_FROM] <= hash && hash <= fault_table[source + SOURCE_TO]; }

// The bitline of a place; check bits have separate columns, one per eight columns of data.
fn bitline(faults: Faults, source: u32, block: u32, place: u32) -> u32 {
  let row_bits = fault_table[faults.map + ENTRY_ROW_BITS];
  let first = (faults.origin + block) * 16u * STORAGE_BITS;
  let bank = (first / row_bits) & (fault_table[faults.map + ENTRY_BANKS] - 1u);
  if (place >= 16u * STORAGE_BITS) {
    return 0x80000000u | (bank * (row_bits / 8u) + (first / 8u + place - 16u * STORAGE_BITS) % (row_bits / 8u));
  }
  return bank * row_bits + (first + place + fault_table[source + SOURCE_FIRST_BIT]) % row_bits;
}

// True if a drawn cell meets the conditions on its place, so that it fails in this read.
fn cell_fails(faults: Faults, source: u32, block: u32, place: u32) -> bool {
  if (fault_table[source + SOURCE_LINES] == 3u && !in_lines(source, line_hash(faults, 3u, bitline(faults, source, block, place)))) {
    return false;
  }
  let failure = fault_table[source + SOURCE_FAILURE];
  if (failure == 0xffffffffu) { return true; }
  let chance = 0x80000000u | (fault_table[source + SOURCE_SALT] << 16u) | place;
  return pcg4d(vec4u(block, chance, faults.read_key)).x <= failure;
}

struct Drawn {
  taken: Cells,    // cells that are drawn
  failing: Cells,  // those of them that fail
  left: u32,       // number of cells still to be drawn
}

// Draws one more cell if any is left to draw and the place is not taken yet.
fn draw_place(drawn: Drawn, faults: Faults, source: u32, block: u32, place: u32) -> Drawn {
  let cell = cells_and(cell_at(source, place, drawn.left > 0u), cells_not(drawn.taken));
  var failing = cell;
  if (EACH && !cell_fails(faults, source, block, place)) { failing = Cells(); }
  let count = drawn.left - select(0u, 1u, cells_any(cell));
  return Drawn(cells_or(drawn.taken, cell), cells_or(drawn.failing, failing), count);
}

// The cells of a block that a source makes fail, without the condition on the stored value.
fn source_cells(faults: Faults, source: u32, block: u32) -> Cells {
  let drawn = fault_table[source + SOURCE_DRAWN];
  let key = select(select(faults.chip_key, faults.load_key, drawn == 1u), faults.read_key, drawn == 2u);
  var slice = fault_table[source + SOURCE_SALT] << 24u;
  var random = pcg4d(vec4u(block, slice, key));
  let draw = random.x;
#include <limit>
  var count = 0u;
  while (count < limit && draw <= fault_table[table + count]) { count++; }
  var cells = Drawn(Cells(), Cells(), count);
  var left = 3u;  // words of `random` not yet used
  while (cells.left > 0u) {
    random = random.yzwx;
    if (left == 0u) {
      slice++;
      random = pcg4d(vec4u(block, slice, key));
      left = 4u;
    }
    left--;
    cells = draw_place(cells, faults, source, block, random.x & PLACE_MASK);
    if (!WIDE) { cells = draw_place(cells, faults, source, block, (random.x >> 8u) & PLACE_MASK); }
    cells = draw_place(cells, faults, source, block, (random.x >> 16u) & PLACE_MASK);
    if (!WIDE) { cells = draw_place(cells, faults, source, block, (random.x >> 24u) & PLACE_MASK); }
  }
  return cells.failing;
}

// The 8 check bits of word i of a block, in byte i.
fn check_byte(i: u32, value: u32) -> vec2u {
  let byte = value << (8u * (i & 3u));
  return vec2u(select(byte, 0u, i >= 4u), select(0u, byte, i >= 4u));
}

// The check bits of the stored words.
fn check_bits(words: Words) -> vec2u {
  var check = vec2u();
  for (var i = 0u; i < PAIRS; i++) { check |= check_byte(i, secded_check(words_pair(words, i))); }
  return check;
}

// The bits of the block that are wrong after error correction. With `scrub`, a corrected word is written back with new
// check bits, and a word with a detected error is not changed; without it, such a word reads zero if ECC is 1.
fn corrected(errors: Cells, stored: Words, scrub: bool) -> Cells {
  var left = Cells();
  for (var i = 0u; i < PAIRS; i++) {
    let error = words_pair(errors.words, i);
    let check = (select(errors.check.x, errors.check.y, i >= 4u) >> (8u * (i & 3u))) & 0xffu;
    let decoded = secded_decode(error, check);
    var word = decoded.error;
    if (decoded.detected && !scrub && ECC == 1u) { word = words_pair(stored, i); }
    left.words = words_or(left.words, words_of_pair(i, word));
    if (scrub) { left.check |= check_byte(i, select(secded_check(word), check, decoded.detected)); }
  }
  return left;
}
