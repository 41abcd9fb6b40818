// The fast path of memory/faults_uniform.wgsl: draws masks from the first two random words only, without a loop. At low
// error rates this completes the mask of nearly all blocks. A shader that reads many blocks draws the other masks again
// with block_mask after its own loop, because a nested loop would run for every block as often as for the worst of a
// subgroup. Included as <fast>.
const FAST_PATH: bool = true;

struct FastMask {
  words: Words,
  whole: bool,
}

fn fast_mask(faults: Faults, block: u32, stored: Words) -> FastMask {
  let random = pcg4d(vec4u(block, 0u, faults.key));
  let count = fast_count(faults, random.x);
  let mask = flip_word(flip_word(BlockMask(), random.y, faults.bits, count), random.z, faults.bits, count);
  return FastMask(mask.words, mask.flips >= count);
}
