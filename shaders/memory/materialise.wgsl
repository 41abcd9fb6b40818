// The bit-flip compute shader: fetched[i] = code[i] XOR mask(i, read) for every weight of one tensor, retained by
// <retained>: decoded (memory/write_f32.wgsl), or as codes that a product decodes (memory/write_codes16.wgsl). The image is
// ROWS x STRIDE codes, BLOCKS blocks of 16; fetched has the same padded layout. One invocation opens the read and fetches
// BLOCKS_EACH consecutive blocks, at most 32. Afterwards it fetches the blocks again whose mask <fast> left incomplete.
// Bindings: codes, fault_table, fetched, step. Launched by recordMaterialise (src/kernels/memory.ts).
// Reference: fetchTensor in src/memory/fault_sampler.ts.
//
// Measured on SwiftShader, 10.3 million 12-bit codes at a BER of 0.01, not decoded, in units of the time of the f32 product
// of 128 images with the weights: without the fast path 0.36, with it and 16 blocks per invocation 0.26, 32 blocks 0.23;
// with one random word in the fast path 0.25, with three 0.27. At 0.0625, 0.80 without the fast path and 0.99 with it.
@group(0) @binding(0) var<storage, read> codes: array<Words>;
@group(0) @binding(1) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<uniform> step: Step;

#include "struct/step"
#include "common/fetch_approximate.wgsl"
#include <fast>
#include <retained>

const BLOCKS: u32 = ROWS * STRIDE / 16u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let first = (id.x + id.y * GRID_WIDTH) * BLOCKS_EACH;
  if (first >= BLOCKS) { return; }
  let read = begin_read(MAP, ORIGIN, 0u);
  var again = 0u;  // bit i: block first + i
  var bit = 1u;
  for (var block = first; block < min(first + BLOCKS_EACH, BLOCKS); block++) {
    let stored = codes[read.origin + block];
    let mask = fast_mask(read.faults, block, stored);
    write_words(read, block, words_xor(stored, mask.words));
    again |= select(bit, 0u, mask.whole);
    bit += bit;
  }
  if (FAST_PATH) {
    while (again != 0u) {
      let block = first + firstTrailingBit(again);
      again &= again - 1u;
      write_words(read, block, fetch_words(read, block));
    }
  }
}
