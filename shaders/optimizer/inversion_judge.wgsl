// Judges the images of a model inversion after their objective is known, one attacked class a row: an objective below the
// best so far is remembered (inversion_step.wgsl then copies the image), else it is one more iteration without progress. A
// row stops after BETA such iterations, or when its objective is <= GAMMA (Fredrikson et al., CCS'15, algorithm 1).
// KEEP_LAST: the image to keep is the one of the last iteration in which the row was active, not the best.
// results: ROWS x (objective, confidence). state: ROWS x 8 words, f32 unless said:
//   0 best objective   1 confidence and 2 objective of the image kept   3 u32 iterations without progress   4 u32 active
//   5 u32 keep the image of this iteration   6 u32 iteration of the best   7 u32 iterations judged
// One invocation a row. Bindings: results, state, step. Launched by recordInversionJudge (src/kernels/inversion.ts).
@group(0) @binding(0) var<storage, read> results: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> state: array<u32>;
@group(0) @binding(2) var<uniform> step: Step;

#include "common/step.wgsl"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= ROWS) { return; }
  let at = id.x * 8u;
  state[at + 5u] = 0u;
  if (state[at + 4u] == 0u) { return; }
  state[at + 7u]++;
  let objective = results[id.x].x;
  let improved = objective < bitcast<f32>(state[at]);
  if (improved) {
    state[at] = bitcast<u32>(objective);
    state[at + 3u] = 0u;
    state[at + 6u] = step.iteration;
  } else {
    state[at + 3u]++;
  }
  if (improved || KEEP_LAST) {
    state[at + 1u] = bitcast<u32>(results[id.x].y);
    state[at + 2u] = bitcast<u32>(objective);
    state[at + 5u] = 1u;
  }
  if (state[at + 3u] >= BETA || objective <= GAMMA) { state[at + 4u] = 0u; }
}
