// The gradients of z = mu + sigma * noise (bottleneck_forward.wgsl) plus those of FACTOR times the sum over all values of
// KL(N(mu, sigma^2) || N(0, 1)) = (mu^2 + sigma^2 - 1) / 2 - ln sigma:
//   dmu = dz + FACTOR mu,  ds = p (dz noise + FACTOR sigma) - FACTOR p / sigma,  p = dsigma/ds = 1 / (1 + exp(5 - s)).
// All: ROWS x COLUMNS, stride STRIDE; pads are written zero. One invocation per vec4.
// Bindings: mu, s, dz, dmu, ds, step (iteration). Launched by recordBottleneckBackward (src/kernels/bottleneck.ts).
// Reference: src/reference/bottleneck.ts.
#include "struct/step"
#include "common/columns.wgsl"
#include "activation/bottleneck.wgsl"

@group(0) @binding(0) var<storage, read> mu: array<vec4f>;
@group(0) @binding(1) var<storage, read> s: array<vec4f>;
@group(0) @binding(2) var<storage, read> dz: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dmu: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> ds: array<vec4f>;
@group(0) @binding(5) var<uniform> step: Step;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let quad = i % (STRIDE / 4u);
  let inside = in_row(quad * 4u);
  let noise = noise_of(i / (STRIDE / 4u), quad, step.iteration);
  let t = s[i] - 5.0;
  let sigma = softplus(t);
  let e = exp(-abs(t));
  let slope = select(e, vec4f(1.0), t > vec4f()) / (1.0 + e);
  // slope / sigma tends to 1, also where both are too small for f32.
  let relative = select(slope / sigma, vec4f(1.0), t < vec4f(-16.0));
  dmu[i] = select(vec4f(), dz[i] + FACTOR * mu[i], inside);
  ds[i] = select(vec4f(), slope * (dz[i] * noise + FACTOR * sigma) - FACTOR * relative, inside);
}
