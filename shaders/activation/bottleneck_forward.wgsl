// z = mu + sigma * noise, sigma = softplus(s - 5), noise standard normal: the reparametrised sample of a variational bottleneck
// (Alemi et al., ICLR 2017). The noise depends on the value, step.iteration and a key; padding changes nothing.
// mu, s, z: ROWS x COLUMNS, stride STRIDE; pads are written zero. One invocation per vec4.
// Bindings: mu, s, z, step (iteration). Launched by recordBottleneckForward (src/kernels/bottleneck.ts). Reference:
// src/reference/bottleneck.ts.
#include "struct/step"
#include "common/columns.wgsl"
#include "activation/bottleneck.wgsl"

@group(0) @binding(0) var<storage, read> mu: array<vec4f>;
@group(0) @binding(1) var<storage, read> s: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> z: array<vec4f>;
@group(0) @binding(3) var<uniform> step: Step;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let quad = i % (STRIDE / 4u);
  let noise = noise_of(i / (STRIDE / 4u), quad, step.iteration);
  z[i] = select(vec4f(), mu[i] + softplus(s[i] - 5.0) * noise, in_row(quad * 4u));
}
