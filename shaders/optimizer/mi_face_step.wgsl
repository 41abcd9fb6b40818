// One descent step of a model inversion, for every row (attacked class) that mi_face_judge.wgsl left active:
//   retained = x where marked by the judge;   v = MOMENTUM v + g / (NORMALISE ? |g| + 1e-12 : 1);   x = clamp(x - rate v, 0, 1)
// x, retained, velocity, gradient: ROWS x STRIDE f32. norms: ROWS f32, L2 norm of each gradient. state as in
// mi_face_judge.wgsl. rate is step.learning_rate. Pads stay zero, like their gradient. One invocation per 16 elements.
// Bindings: gradient, norms, state, x, velocity, retained, step. Launched by recordMiFaceStep (src/kernels/mi_face.ts).
@group(0) @binding(0) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(1) var<storage, read> norms: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<MiFaceState>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> retained: array<vec4f>;
@group(0) @binding(6) var<uniform> step: Step;

#include "struct/step"
#include "struct/mi_face_state"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let block = id.x + id.y * GRID_WIDTH;
  if (block >= ROWS * STRIDE / 16u) { return; }
  let row = block / (STRIDE / 16u);
  let retains = state[row].retain != 0u;
  let moving = state[row].is_active != 0u;
  let length = select(1.0, norms[row] + 1e-12, NORMALISE);
  for (var i = block * 4u; i < block * 4u + 4u; i++) {
    let here = x[i];
    if (retains) { retained[i] = here; }
    if (moving) {
      let v = MOMENTUM * velocity[i] + gradient[i] / length;
      velocity[i] = v;
      x[i] = clamp(here - step.learning_rate * v, vec4f(), vec4f(1.0));
    }
  }
}
