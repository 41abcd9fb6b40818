// The bit-flip compute shader: fetched[i] = code[i] XOR mask(i, read) for every weight of one tensor, kept as <kept> says:
// decoded (memory/keep_f32.wgsl), or as codes that a product decodes (memory/keep_codes16.wgsl). The image is ROWS x STRIDE
// codes, BLOCKS blocks of 16; fetched has the same padded layout. One invocation opens the read and fetches BLOCKS_EACH
// blocks in a row, at most 32. Those whose mask <early> does not draw whole it fetches once more, behind the loop.
// Bindings: codes, maps, fetched, step. Launched by recordMaterialise (src/kernels/memory.ts).
// Reference: fetchTensor in src/memory/fault_map.ts.
//
// Measured on SwiftShader, 10.3 million 12-bit codes at a BER of 0.01, undecoded, times the product of 128 images with them in f32:
// every mask drawn in one loop 0.36, early ones and 16 blocks an invocation 0.26, 32 blocks 0.23; with one random word early
// 0.25, with three 0.27. At 0.0625, where no mask is drawn early, 0.80; drawn early 0.99.
@group(0) @binding(0) var<storage, read> codes: array<Words>;
@group(0) @binding(1) var<storage, read> maps: array<u32>;
@group(0) @binding(3) var<uniform> step: Step;

#include "common/step.wgsl"
#include "common/fetch_approximate.wgsl"
#include <early>
#include <kept>

const BLOCKS: u32 = ROWS * STRIDE / 16u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let first = (id.x + id.y * GRID_WIDTH) * BLOCKS_EACH;
  if (first >= BLOCKS) { return; }
  let read = open_read(MAP, ORIGIN, 0u);
  var again = 0u;  // bit i: block first + i
  var bit = 1u;
  for (var block = first; block < min(first + BLOCKS_EACH, BLOCKS); block++) {
    let stored = codes[read.origin + block];
    let mask = early_mask(read.faults, block, stored);
    keep(read, block, words_xor(stored, mask.words));
    again |= select(bit, 0u, mask.whole);
    bit += bit;
  }
  if (EARLY) {
    while (again != 0u) {
      let block = first + firstTrailingBit(again);
      again &= again - 1u;
      keep(read, block, fetch_words(read, block));
    }
  }
}
