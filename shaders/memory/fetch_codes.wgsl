// returned[i] = code[i] XOR mask(i, read): the codes that the memory returns, not decoded, for fault maps and tests of
// rates. The image is ROWS x STRIDE codes, one invocation per block of 16. Bindings: codes, fault_table, returned, step.
// Launched by recordFetchCodes (src/kernels/memory.ts). Reference: fetchCodes in src/memory/fault_sampler.ts.
@group(0) @binding(0) var<storage, read> codes: array<Words>;
@group(0) @binding(1) var<storage, read> fault_table: array<u32>;
@group(0) @binding(2) var<storage, read_write> returned: array<Words>;
@group(0) @binding(3) var<uniform> step: Step;

#include "struct/step"
#include "common/fetch_approximate.wgsl"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let block = id.x + id.y * GRID_WIDTH;
  if (block >= ROWS * STRIDE / 16u) { return; }
  returned[block] = fetch_words(begin_read(MAP, ORIGIN, 0u), block);
}
