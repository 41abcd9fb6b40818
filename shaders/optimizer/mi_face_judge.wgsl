// Judges the images of a model inversion after their objectives are known, one attacked class per row. An objective below
// the best so far becomes the best (mi_face_step.wgsl then copies the image); otherwise the iteration counts as one without
// progress. A row stops after BETA such iterations, or when its objective is <= GAMMA (Fredrikson et al., CCS'15, alg. 1).
// KEEP_LAST: the retained image is that of the last iteration in which the row was active, not the best.
// results: ROWS x (objective, confidence). state: ROWS of MiFaceState (src/gpu/structs.ts).
// One invocation per row. Bindings: results, state, step. Launched by recordMiFaceJudge (src/kernels/mi_face.ts).
@group(0) @binding(0) var<storage, read> results: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> state: array<MiFaceState>;
@group(0) @binding(2) var<uniform> step: Step;

#include "struct/step"
#include "struct/mi_face_state"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= ROWS) { return; }
  let at = id.x;
  state[at].retain = 0u;
  if (state[at].is_active == 0u) { return; }
  state[at].judged++;
  let objective = results[id.x].x;
  let improved = objective < state[at].best;
  if (improved) {
    state[at].best = objective;
    state[at].waited = 0u;
    state[at].best_iteration = step.iteration;
  } else {
    state[at].waited++;
  }
  if (improved || KEEP_LAST) {
    state[at].confidence = results[id.x].y;
    state[at].objective = objective;
    state[at].retain = 1u;
  }
  if (state[at].waited >= BETA || objective <= GAMMA) { state[at].is_active = 0u; }
}
