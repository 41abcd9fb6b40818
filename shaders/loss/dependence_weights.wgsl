// w[i, j] = (t[i, j] - means[i] - means[j] + the mean of all means) / (IMAGES - 1)^2 * exp(-D[i, j] SCALE), where D are the
// squared distances of hidden values. Their sum is INPUT HSIC(X, Z) - LABELS HSIC(Z, Y), by the estimator of Gretton et al.
// (ALT 2005), tr(K H L H) / (m - 1)^2, which is biased: centring one of the two kernel matrices is enough.
// d: partial sums of D as pair_distances.wgsl writes them. t, means: see dependence_target.wgsl. w: IMAGES x IMAGES, stride
// STRIDE; pads stay as they are. w is symmetric bit for bit. One invocation per pair.
// Bindings: d, t, means, w. Launched by recordDependenceWeights (src/kernels/dependence.ts).
#include "loss/gaussian_exponent.wgsl"

@group(0) @binding(0) var<storage, read> d: array<f32>;
@group(0) @binding(1) var<storage, read> t: array<f32>;
@group(0) @binding(2) var<storage, read> means: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = id.x + id.y * GRID_WIDTH;
  if (index >= IMAGES * IMAGES) { return; }
  let i = index / IMAGES;
  let j = index % IMAGES;
  var sum = 0.0;
  for (var k = 0u; k < IMAGES; k++) { sum += means[k]; }
  let centred = t[i * STRIDE + j] - (means[i] + means[j]) + sum / f32(IMAGES);
  w[i * STRIDE + j] = centred / f32((IMAGES - 1u) * (IMAGES - 1u)) * exp(-negative_exponent(i, j));
}
