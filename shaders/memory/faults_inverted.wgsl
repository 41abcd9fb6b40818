// The faults of faults_sources.wgsl in inverted storage: the lowest INVERTED_BITS bits of the 16 codes of a block are stored
// inverted if more than half of them have the value that fails more often. The word behind the sources in the tensor's entry
// says which that is: 1 ones, 2 zeros, 0 neither. The image holds the codes as they are read: whether a block is inverted
// follows from it, as it does for the flag that hardware stores with the block, in cells without errors. Inversion commutes
// with flips, so it matters only to conditions on the stored value and to check bits.
// Reference: asStored in src/memory/stored_bits.ts, blockFaults in src/memory/fault_sampler.ts.
#include "memory/fault_cells.wgsl"

const CODE_MASK: u32 = 0xffffffffu >> (32u - INVERTED_BITS);
// The mask in every code of a word: times 1, 0x00010001, 0x01010101 or 0x11111111.
const WORD_MASK: u32 = CODE_MASK * (0xffffffffu / (0xffffffffu >> (32u - STORAGE_BITS)));

fn as_stored(faults: Faults, words: Words) -> Words {
  let avoided = fault_table[faults.map + ENTRY_SOURCES + fault_table[faults.map + ENTRY_COUNT] * SOURCE_WORDS];
  var ones = 0u;
  var every = Words();
  for (var i = 0u; i < PAIRS; i++) {
    let counts = countOneBits(words_pair(words, i) & vec2u(WORD_MASK));
    ones += counts.x + counts.y;
    every = words_or(every, words_of_pair(i, vec2u(WORD_MASK)));
  }
  let cells = 16u * INVERTED_BITS;
  let many = select(cells - ones, ones, avoided == 1u);
  if (avoided == 0u || 2u * many <= cells) { return words; }
  return words_xor(words, every);
}

fn block_mask(faults: Faults, block: u32, stored: Words) -> Words {
  var held = Cells(as_stored(faults, stored), vec2u());
  if (ECC > 0u) { held.check = check_bits(held.words); }
  var errors = Cells();
  let sources = fault_table[faults.map + ENTRY_COUNT];
  let scrubbed = fault_table[faults.map + ENTRY_SCRUBBED];
  for (var i = 0u; i < sources; i++) {
    let source = faults.map + ENTRY_SOURCES + i * SOURCE_WORDS;
    var cells = source_cells(faults, source, block);
    let values = fault_table[source + SOURCE_STORED];
    if (values == 1u) { cells = cells_and(cells, cells_not(held)); }
    if (values == 2u) { cells = cells_and(cells, held); }
    switch fault_table[source + SOURCE_EFFECT] {
      case 1u: { errors = cells_or(cells_and(errors, cells_not(cells)), cells_and(cells, held)); }
      case 2u: { errors = cells_or(cells_and(errors, cells_not(cells)), cells_and(cells, cells_not(held))); }
      default: { errors = cells_or(errors, cells); }
    }
    if (ECC > 0u && i + 1u == scrubbed) { errors = corrected(errors, stored, true); }
  }
  if (ECC > 0u && cells_any(errors)) { errors = corrected(errors, stored, false); }
  return errors.words;
}
