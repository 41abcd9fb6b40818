// A mask of the four elements from `column` on: true inside a row of COLUMNS elements, false for padding, which reads must
// ignore and writes must set to zero.
fn in_row(column: u32) -> vec4<bool> {
  return vec4u(column) + vec4u(0u, 1u, 2u, 3u) < vec4u(COLUMNS);
}
