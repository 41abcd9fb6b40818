// The bit-flip compute shader: fetched[i] = decode(code[i] XOR mask(i, read)) for every weight of one tensor, zeros in the
// pads. The image is ROWS x STRIDE codes; fetched is f32 in the same padded layout. One invocation a block of 16.
// Bindings: codes, maps, fetched, step. Launched by recordMaterialise (src/kernels/memory.ts).
// Twin: fetchTensor in src/memory/fault_map.ts.
@group(0) @binding(0) var<storage, read> codes: array<vec4u>;
@group(0) @binding(1) var<storage, read> maps: array<u32>;
@group(0) @binding(2) var<storage, read_write> fetched: array<vec4f>;
@group(0) @binding(3) var<uniform> step: Step;

#include "common/step.wgsl"
#include "common/fetch_approximate.wgsl"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let block = id.x + id.y * GRID_WIDTH;
  if (block >= ROWS * STRIDE / 16u) { return; }
  let weights = fetch_block(MAP, ORIGIN, read_key(MAP, 0u), block);
  let column = (block % (STRIDE / 16u)) * 16u;
  let columns = vec4u(column) + vec4u(0u, 1u, 2u, 3u);
  let at = block * 4u;
  fetched[at] = select(vec4f(), weights[0], columns < vec4u(COLUMNS));
  fetched[at + 1u] = select(vec4f(), weights[1], columns + 4u < vec4u(COLUMNS));
  fetched[at + 2u] = select(vec4f(), weights[2], columns + 8u < vec4u(COLUMNS));
  fetched[at + 3u] = select(vec4f(), weights[3], columns + 12u < vec4u(COLUMNS));
}
