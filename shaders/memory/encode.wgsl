// code[i] = encode(weight[i]), 16 codes per block, packed (memory/words_*.wgsl), in the number format of
// memory/format_*.wgsl. The weights are ROWS x STRIDE f32 with zero pads. One invocation per block.
// Bindings: weights, fault_table, codes. Launched by recordEncode (src/kernels/memory.ts).
// References: the codecs of src/memory/codec.ts.
@group(0) @binding(0) var<storage, read> weights: array<vec4u>;
@group(0) @binding(1) var<storage, read> fault_table: array<u32>;
@group(0) @binding(2) var<storage, read_write> codes: array<Words>;

#include "struct/fault_table"
#include <words>
#include <format>

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let block = id.x + id.y * GRID_WIDTH;
  if (block >= ROWS * STRIDE / 16u) { return; }
  let format = open_format(MAP * FAULT_ENTRY_WORDS);
  let row = block / (STRIDE / 16u);
  let at = block * 4u;
  codes[ORIGIN + block] = pack_codes(
    encode4(format, weights[at], row),
    encode4(format, weights[at + 1u], row),
    encode4(format, weights[at + 2u], row),
    encode4(format, weights[at + 3u], row),
  );
}
