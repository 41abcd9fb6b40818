// Key of one read of the tensor whose map begins at `at`.
fn read_key(at: u32, image: u32) -> vec2u {
  let granularity = maps[at + MAP_GRANULARITY];
  let read = maps[at + MAP_READ] + select(0u, step.pass_index + PASS_OFFSET, granularity > 0u);
  return pcg4d(vec4u(maps[at + MAP_KEY], maps[at + MAP_KEY + 1u], read, select(0u, image + 1u, granularity == 2u))).xy;
}
