// The key of the draws of a source in one read: that of the chip, of the load, or of the read.
fn drawn_key(at: u32, source: u32, image: u32) -> vec2u {
  let key = vec2u(fault_table[at + ENTRY_KEY], fault_table[at + ENTRY_KEY + 1u]);
  let drawn = fault_table[source + SOURCE_DRAWN];
  if (drawn == 2u) { return read_key(at, image); }
  return pcg4d(vec4u(key, select(0u, fault_table[at + ENTRY_LOAD], drawn == 1u), 0u)).xy;
}
