// Masks that are drawn whole at once: of several sources, of none, and where most blocks would have to be drawn again
// (memory/early_uniform.wgsl). Included as <early>.
const EARLY: bool = false;

struct EarlyMask {
  words: Words,
  whole: bool,
}

fn early_mask(faults: Faults, block: u32, stored: Words) -> EarlyMask {
  return EarlyMask(block_mask(faults, block, stored), true);
}
