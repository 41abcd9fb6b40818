// The flip of one stored bit that, to first order, raises a cost most: gradient times the change of the decoded weight,
// the score of the bit search of A. S. Rakin et al., "Bit-Flip Attack", ICCV 2019. The tensor is ROWS x STRIDE codes with
// COLUMNS values in a row; it is divided into CHUNKS runs of CHUNK_BLOCKS blocks of 16 codes, each of which gets its best
// flip. The lowest BITS bits of a code can flip, except those that are set in `excluded`, an image like `codes`. Changes and
// scores that are not finite do not count, nor do scores that are not above 0; of equal scores the first is taken, in the
// order of the blocks, then of groups of four codes, then of bits.
// gradient: ROWS x STRIDE f32. best: for each chunk (score as f32, position in the padded tensor, bit, 1 if there is any).
// Bindings: codes, gradient, excluded, fault_table, best. Launched by recordRankFlips (src/kernels/flips.ts).
// Reference: rankFlips in src/reference/flips.ts.
@group(0) @binding(0) var<storage, read> codes: array<Words>;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read> excluded: array<Words>;
@group(0) @binding(3) var<storage, read> fault_table: array<u32>;
@group(0) @binding(4) var<storage, read_write> best: array<Best>;

#include "struct/fault_table"
#include <words>
#include <format>

const BLOCKS: u32 = ROWS * STRIDE / 16u;
const EXPONENT: vec4u = vec4u(0x7f800000u);

struct Best {
  score: f32,
  position: u32,
  bit: u32,
  found: u32,
}

fn better(before: Best, score: f32, position: u32, bit: u32, allowed: bool) -> Best {
  if (allowed && score > before.score) { return Best(score, position, bit, 1u); }
  return before;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let chunk = id.x + id.y * GRID_WIDTH;
  if (chunk >= CHUNKS) { return; }
  let format = open_format(MAP * FAULT_ENTRY_WORDS);
  var found = Best(0.0, 0u, 0u, 0u);
  let first = chunk * CHUNK_BLOCKS;
  for (var block = first; block < min(first + CHUNK_BLOCKS, BLOCKS); block++) {
    let row = block / (STRIDE / 16u);
    for (var q = 0u; q < 4u; q++) {
      let position = block * 16u + 4u * q;
      let inside = vec4u(position - row * STRIDE) + vec4u(0u, 1u, 2u, 3u) < vec4u(COLUMNS);
      let stored = four_codes(codes[ORIGIN + block], q);
      let barred = four_codes(excluded[ORIGIN + block], q);
      let value = decode4(format, stored, row);
      let slope = gradient[block * 4u + q];
      for (var bit = 0u; bit < BITS; bit++) {
        let mask = vec4u(1u << bit);
        let changed = decode4(format, stored ^ mask, row);
        let scores = slope * (changed - value);
        let finite = ((bitcast<vec4u>(changed) & EXPONENT) != EXPONENT) & ((bitcast<vec4u>(scores) & EXPONENT) != EXPONENT);
        let allowed = inside & finite & ((barred & mask) == vec4u());
        found = better(found, scores.x, position, bit, allowed.x);
        found = better(found, scores.y, position + 1u, bit, allowed.y);
        found = better(found, scores.z, position + 2u, bit, allowed.z);
        found = better(found, scores.w, position + 3u, bit, allowed.w);
      }
    }
  }
  best[chunk] = found;
}
