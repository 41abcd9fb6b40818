// The bit-flip compute shader: fetched[i] = decode(code[i] XOR mask(i, read)) for every weight of one tensor, zeros in the
// pads. The image is ROWS x STRIDE codes; fetched is f32 in the same padded layout, BLOCKS blocks of 16 weights. One
// invocation opens the read and fetches BLOCKS_EACH blocks in a row.
// Bindings: codes, maps, fetched, step. Launched by recordMaterialise (src/kernels/memory.ts).
// Twin: fetchTensor in src/memory/fault_map.ts.
@group(0) @binding(0) var<storage, read> codes: array<Block>;
@group(0) @binding(1) var<storage, read> maps: array<u32>;
@group(0) @binding(2) var<storage, read_write> fetched: array<mat4x4f>;
@group(0) @binding(3) var<uniform> step: Step;

#include "common/step.wgsl"
#include "common/fetch_approximate.wgsl"

const BLOCKS: u32 = ROWS * STRIDE / 16u;

// Zeros for columns beyond the last; `column` is the first of the 16.
fn without_pads(weights: mat4x4f, column: u32) -> mat4x4f {
  if (COLUMNS % 16u == 0u) { return weights; }
  let columns = vec4u(column) + vec4u(0u, 1u, 2u, 3u);
  return mat4x4f(
    select(vec4f(), weights[0], columns < vec4u(COLUMNS)),
    select(vec4f(), weights[1], columns + 4u < vec4u(COLUMNS)),
    select(vec4f(), weights[2], columns + 8u < vec4u(COLUMNS)),
    select(vec4f(), weights[3], columns + 12u < vec4u(COLUMNS)),
  );
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let first = (id.x + id.y * GRID_WIDTH) * BLOCKS_EACH;
  if (first >= BLOCKS) { return; }
  let read = open_read(MAP, ORIGIN, 0u);
  for (var block = first; block < min(first + BLOCKS_EACH, BLOCKS); block++) {
    let weights = fetch_block(read, block);
    fetched[block] = without_pads(weights, block % (STRIDE / 16u) * 16u);
  }
}
