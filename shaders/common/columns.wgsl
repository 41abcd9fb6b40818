// A mask of the four elements from `column` on: those of a row of COLUMNS elements; the others are padding, which reads
// must ignore and writes must leave zero.
fn in_row(column: u32) -> vec4<bool> {
  return vec4u(column) + vec4u(0u, 1u, 2u, 3u) < vec4u(COLUMNS);
}
