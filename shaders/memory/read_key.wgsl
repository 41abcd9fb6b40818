// Key of one read, by image `image`, of the tensor whose entry begins at `at` in `fault_table`.
fn read_key(at: u32, image: u32) -> vec2u {
  let granularity = fault_table[at + ENTRY_GRANULARITY];
  let read = fault_table[at + ENTRY_READ] + select(0u, step.pass_index + PASS_OFFSET, granularity > 0u);
  return pcg4d(vec4u(fault_table[at + ENTRY_KEY], fault_table[at + ENTRY_KEY + 1u], read, select(0u, image + 1u, granularity == 2u))).xy;
}
