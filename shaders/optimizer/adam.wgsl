// Adam (Kingma and Ba 2015), as torch.optim.Adam; with AMSGrad (Reddi et al. 2018) by the <second_moment> slot:
//   g = gradient + WEIGHT_DECAY w
//   m = m + (1 - beta1)(g - m), v = beta2 v + (1 - beta2) g^2, v^ = v; with AMSGrad v^ is the largest v so far
//   w = w - learning_rate / (1 - beta1^k) * m / (sqrt(v^) / sqrt(1 - beta2^k) + EPSILON)
// The host computes the two corrections of step k in double precision (writeAdamStep): adam_step_size is
// learning_rate / (1 - beta1^k), adam_second_correction 1 / sqrt(1 - beta2^k).
// gradients, parameters and moments: VECTORS vec4, flat. One invocation per vec4.
// Bindings: gradients, parameters, first_moment, second_moment, [second_moment_max], step.
// Launched by recordAdam (src/kernels/optimizer.ts).
#include "struct/step"

@group(0) @binding(0) var<storage, read> gradients: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> parameters: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> first_moment: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> second_moment: array<vec4f>;

#include <second_moment>

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= VECTORS) { return; }
  let w = parameters[i];
  let g = gradients[i] + WEIGHT_DECAY * w;
  let m = first_moment[i] + ONE_MINUS_BETA1 * (g - first_moment[i]);
  let v = BETA2 * second_moment[i] + ONE_MINUS_BETA2 * (g * g);
  first_moment[i] = m;
  second_moment[i] = v;
  parameters[i] = w - step.adam_step_size * m / (sqrt(bounded_second_moment(i, v)) * step.adam_second_correction + EPSILON);
}
