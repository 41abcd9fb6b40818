// The bit-flip compute shader: fetched[i] = decode(code[i] XOR mask(i, read)) for every weight of one tensor, zeros in the
// pads. The image is ROWS x STRIDE codes; fetched is f32 in the same padded layout, BLOCKS blocks of 16 weights. One
// invocation opens the read and fetches BLOCKS_EACH blocks in a row.
// Bindings: codes, maps, fetched, step. Launched by recordMaterialise (src/kernels/memory.ts).
// Twin: fetchTensor in src/memory/fault_map.ts.
@group(0) @binding(0) var<storage, read> codes: array<Words>;
@group(0) @binding(1) var<storage, read> maps: array<u32>;
@group(0) @binding(2) var<storage, read_write> fetched: array<mat4x4f>;
@group(0) @binding(3) var<uniform> step: Step;

#include "common/step.wgsl"
#include "common/fetch_approximate.wgsl"

const BLOCKS: u32 = ROWS * STRIDE / 16u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let first = (id.x + id.y * GRID_WIDTH) * BLOCKS_EACH;
  if (first >= BLOCKS) { return; }
  let read = open_read(MAP, ORIGIN, 0u);
  for (var block = first; block < min(first + BLOCKS_EACH, BLOCKS); block++) {
    let row = block / (STRIDE / 16u);
    let weights = fetch_block(read, block, row);
    if (COLUMNS % 16u == 0u) {
      fetched[block] = weights;
    } else {
      fetched[block] = columns_below(weights, (block - row * (STRIDE / 16u)) * 16u, COLUMNS);
    }
  }
}
