// gradient = (sum + DEVIATION z) / COUNT in learned elements, z standard normal, and 0 elsewhere; then sum = 0. The gradient of
// DP-SGD (Abadi et al., CCS 2016, algorithm 1) from the sum of clipped gradients of a batch.
// The four numbers of vec4 i come from pcg4d(i, step.iteration, step.draw, STREAM).
// learned: VECTORS u32, of which bit j is set where element 4 i + j is learned. sum, gradient: VECTORS vec4s. One invocation per
// vec4.
// Bindings: learned, sum, gradient, step (iteration, draw). Launched by recordNoisyMean (src/kernels/private_gradient.ts).
#include "struct/step"
#include "common/hash.wgsl"
#include "common/normal.wgsl"

@group(0) @binding(0) var<storage, read> learned: array<u32>;
@group(0) @binding(1) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4f>;
@group(0) @binding(3) var<uniform> step: Step;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= VECTORS) { return; }
  let words = pcg4d(vec4u(i, step.iteration, step.draw, STREAM));
  let noise = vec4f(standard_normals(words.xy), standard_normals(words.zw));
  let is_learned = (vec4u(learned[i]) & vec4u(1u, 2u, 4u, 8u)) != vec4u();
  gradient[i] = select(vec4f(), (sum[i] + DEVIATION * noise) / f32(COUNT), is_learned);
  sum[i] = vec4f();
}
