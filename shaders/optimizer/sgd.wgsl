// Stochastic gradient descent with momentum and weight decay, as torch.optim.SGD (dampening 0, no Nesterov):
//   g = gradient + WEIGHT_DECAY w, v = MOMENTUM v + g, w = w - learning_rate v
// Because v starts at zero, PyTorch's special first step v = g gives the same result.
// gradients, parameters, velocity: VECTORS vec4, flat. One invocation per vec4.
// Bindings: gradients, parameters, velocity, step (learning_rate). Launched by recordSgd (src/kernels/optimizer.ts).
#include "struct/step"

@group(0) @binding(0) var<storage, read> gradients: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> parameters: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> velocity: array<vec4f>;
@group(0) @binding(3) var<uniform> step: Step;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= VECTORS) { return; }
  let w = parameters[i];
  let v = MOMENTUM * velocity[i] + (gradients[i] + WEIGHT_DECAY * w);
  velocity[i] = v;
  parameters[i] = w - step.learning_rate * v;
}
