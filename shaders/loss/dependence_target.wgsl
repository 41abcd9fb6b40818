// What hidden values should resemble less and more: t[i, j] = INPUT (exp(-D[i, j] SCALE) - 1) - LABELS [y[i] = y[j]], where D
// are the squared distances of the images of a batch, and [..] is 1 if their labels are the same, else 0: the linear kernel of
// one-hot labels. means[i] is the mean of t over row i. Centring would remove the 1; without it f32 keeps the digits of
// kernels near 1.
// d: partial sums of D as pair_distances.wgsl writes them. t: IMAGES x IMAGES, stride STRIDE; pads stay as they are.
// One invocation per row. Bindings: d, y, t, means. Launched by recordDependenceTarget (src/kernels/dependence.ts).
#include "loss/gaussian_exponent.wgsl"

@group(0) @binding(0) var<storage, read> d: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<u32>;
@group(0) @binding(2) var<storage, read_write> t: array<f32>;
@group(0) @binding(3) var<storage, read_write> means: array<f32>;

// exp(-x) - 1 for x >= 0: its series to degree 9 while that has all digits.
fn exponential_less_1(x: f32) -> f32 {
  let t = -x;
  let series = 1.0 + t / 5.0 * (1.0 + t / 6.0 * (1.0 + t / 7.0 * (1.0 + t / 8.0 * (1.0 + t / 9.0))));
  return select(exp(t) - 1.0, t * (1.0 + t / 2.0 * (1.0 + t / 3.0 * (1.0 + t / 4.0 * series))), x < 0.75);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= IMAGES) { return; }
  var sum = 0.0;
  for (var j = 0u; j < IMAGES; j++) {
    let value = INPUT * exponential_less_1(negative_exponent(i, j)) - select(0.0, LABELS, y[i] == y[j]);
    t[i * STRIDE + j] = value;
    sum += value;
  }
  means[i] = sum / f32(IMAGES);
}
