// As limit_image.wgsl, and sources with a zone: cells fail only in bad rows, or as often as the table of their bank says.
// Included in source_cells of faults_sources.wgsl as <limit>.
#include "struct/fault_zones"
  var table = faults.map + fault_table[source + SOURCE_TABLE];
  var limit = fault_table[source + SOURCE_LIMIT];
  let kind = fault_table[source + SOURCE_LINES];
  if (LINES) {
    let byte = (faults.origin + block) * 2u * STORAGE_BITS;
    let line = select(byte / 64u, byte / (fault_table[faults.map + ENTRY_ROW_BITS] / 8u), kind == 2u);
    if ((kind == 1u || kind == 2u) && !in_lines(source, line_hash(faults, kind, line))) { limit = 0u; }
  }
  if (kind >= 4u) {
    let zones = faults.map + fault_table[source + SOURCE_TO];
    let unit = (fault_table[zones + ZONES_FIRST] + block) >> fault_table[zones + ZONES_SHIFT];
    let zone = fault_table[zones + ZONES_WORDS + unit];
    if (kind == 4u && (zone & fault_table[source + SOURCE_FROM]) == 0u) { limit = 0u; }
    if (kind == 5u) {
      let record = table + (zone & 0xffffu) * limit;
      limit = fault_table[record];
      table = record + 1u;
    }
  }
