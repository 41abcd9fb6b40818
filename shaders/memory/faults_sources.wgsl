// The cells of a block that any number of sources fail (memory/fault_cells.wgsl), as the mask that flips its stored words.
#include "memory/fault_cells.wgsl"
fn block_mask(faults: Faults, block: u32, stored: Words) -> Words {
  var held = Cells(stored, vec2u());
  if (ECC > 0u) { held.check = check_bits(stored); }
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
