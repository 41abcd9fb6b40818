// Masks of memory/faults_uniform.wgsl as far as the first two words of places tell, without a loop: at low error rates that is
// the whole mask of nearly all blocks. Whoever reads many blocks draws the others again, by block_mask and behind its own loop: a
// loop in it runs for every block, as often as for the worst of a subgroup. Included as <early>.
const EARLY: bool = true;

struct EarlyMask {
  words: Words,
  whole: bool,
}

fn early_mask(faults: Faults, block: u32, stored: Words) -> EarlyMask {
  let random = pcg4d(vec4u(block, 0u, faults.key));
  let count = early_count(faults, random.x);
  let mask = flip_word(flip_word(BlockMask(), random.y, faults.bits, count), random.z, faults.bits, count);
  return EarlyMask(mask.words, mask.flips >= count);
}
