// The quantile table of a source for a block, and its length: 0 outside of its lines. Included in source_cells as <limit>.
  let table = faults.map + fault_table[source + SOURCE_TABLE];
  var limit = fault_table[source + SOURCE_LIMIT];
  if (LINES) {
    let kind = fault_table[source + SOURCE_LINES];
    let byte = (faults.origin + block) * 2u * STORAGE_BITS;
    let line = select(byte / 64u, byte / (fault_table[faults.map + ENTRY_ROW_BITS] / 8u), kind == 2u);
    if ((kind == 1u || kind == 2u) && !in_lines(source, line_hash(faults, kind, line))) { limit = 0u; }
  }