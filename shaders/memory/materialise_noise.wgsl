// fetched[i] = weight[i] + scale * noise(i, read): additive weight noise, which the publication compares faults with.
// GAUSSIAN: standard normal (common/normal.wgsl), scale is the standard deviation. Otherwise Laplacian with density
// exp(-|x|) / 2, scale is its b (standard deviation sqrt(2) b). The noise is keyed like the faults; pads stay zero.
// The word ENTRY_SCALE of the tensor's entry holds the scale. Weights are ROWS x STRIDE f32. One invocation per vec4.
// Bindings: weights, fault_table, fetched, step. Launched by recordNoise (src/kernels/memory.ts).
// Reference: noiseTensor in src/memory/noise.ts.
@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
@group(0) @binding(1) var<storage, read> fault_table: array<u32>;
@group(0) @binding(2) var<storage, read_write> fetched: array<vec4f>;
@group(0) @binding(3) var<uniform> step: Step;

#include "struct/step"
#include "common/hash.wgsl"
#include "common/normal.wgsl"
#include "struct/fault_table"

fn noise4(random: vec4u) -> vec4f {
  if (GAUSSIAN) { return vec4f(standard_normals(random.xy), standard_normals(random.zw)); }
  // The top 24 bits are the magnitude, the lowest the sign.
  let n = (random >> vec4u(8u)) + vec4u(1u);
  let magnitude = -vec4f(log_of_fraction(n.x), log_of_fraction(n.y), log_of_fraction(n.z), log_of_fraction(n.w));
  return select(magnitude, -magnitude, (random & vec4u(1u)) == vec4u(1u));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * STRIDE / 4u) { return; }
  let at = MAP * FAULT_ENTRY_WORDS;
  let read = fault_table[at + ENTRY_READ] + select(0u, step.pass_index + PASS_OFFSET, fault_table[at + ENTRY_GRANULARITY] > 0u);
  let key = pcg4d(vec4u(fault_table[at + ENTRY_KEY], fault_table[at + ENTRY_KEY + 1u], read, 0u)).xy;
  let scale = bitcast<f32>(fault_table[at + ENTRY_SCALE]);
  let columns = vec4u((i % (STRIDE / 4u)) * 4u) + vec4u(0u, 1u, 2u, 3u);
  let value = weights[i] + scale * noise4(pcg4d(vec4u(i, 0u, key)));
  fetched[i] = select(vec4f(), value, columns < vec4u(COLUMNS));
}
