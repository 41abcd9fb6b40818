// No fast path: every mask is drawn whole. For several sources, for none, and where most blocks would have to be drawn again
// after memory/fast_uniform.wgsl. Included as <fast>.
const FAST_PATH: bool = false;

struct FastMask {
  words: Words,
  whole: bool,
}

fn fast_mask(faults: Faults, block: u32, stored: Words) -> FastMask {
  return FastMask(block_mask(faults, block, stored), true);
}
