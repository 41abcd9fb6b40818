// No fast path: every mask is drawn completely. Used for several sources, for no source, and where memory/fast_uniform.wgsl
// would have to draw most blocks again. Included as <fast>.
const FAST_PATH: bool = false;

struct FastMask {
  words: Words,
  whole: bool,
}

fn fast_mask(faults: Faults, block: u32, stored: Words) -> FastMask {
  return FastMask(block_mask(faults, block, stored), true);
}
