// One descent step of a model inversion, for every row (attacked class) that inversion_judge.wgsl left active:
//   kept = x where the judge says so;   v = MOMENTUM v + g / (NORMALISE ? |g| + 1e-12 : 1);   x = clamp(x - rate v, 0, 1)
// x, kept, velocity, gradient: ROWS x STRIDE f32. norms: ROWS f32, L2 norm of each gradient. state as in
// inversion_judge.wgsl. rate is step.learning_rate. Pads stay zero because their gradient is. One invocation 16 elements.
// Bindings: gradient, norms, state, x, velocity, kept, step. Launched by recordInversionStep (src/kernels/inversion.ts).
@group(0) @binding(0) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(1) var<storage, read> norms: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> kept: array<vec4f>;
@group(0) @binding(6) var<uniform> step: Step;

#include "common/step.wgsl"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let block = id.x + id.y * GRID_WIDTH;
  if (block >= ROWS * STRIDE / 16u) { return; }
  let row = block / (STRIDE / 16u);
  let keep = state[row * 8u + 5u] != 0u;
  let moving = state[row * 8u + 4u] != 0u;
  let length = select(1.0, norms[row] + 1e-12, NORMALISE);
  for (var i = block * 4u; i < block * 4u + 4u; i++) {
    let here = x[i];
    if (keep) { kept[i] = here; }
    if (moving) {
      let v = MOMENTUM * velocity[i] + gradient[i] / length;
      velocity[i] = v;
      x[i] = clamp(here - step.learning_rate * v, vec4f(), vec4f(1.0));
    }
  }
}
