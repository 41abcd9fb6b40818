// What hidden values should resemble less and more: t[i, j] = INPUT exp(-D[i, j] SCALE) - LABELS [y[i] = y[j]], where D are
// the squared distances of the images of a batch, and [..] is 1 if their labels are the same, else 0: the linear kernel of
// one-hot labels. means[i] is the mean of t over row i.
// d: partial sums of D as pair_distances.wgsl writes them. t: IMAGES x IMAGES, stride STRIDE; pads stay as they are.
// One invocation per row. Bindings: d, y, t, means. Launched by recordDependenceTarget (src/kernels/dependence.ts).
#include "loss/gaussian_kernel.wgsl"

@group(0) @binding(0) var<storage, read> d: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<u32>;
@group(0) @binding(2) var<storage, read_write> t: array<f32>;
@group(0) @binding(3) var<storage, read_write> means: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= IMAGES) { return; }
  var sum = 0.0;
  for (var j = 0u; j < IMAGES; j++) {
    let value = INPUT * gaussian_kernel(i, j) - select(0.0, LABELS, y[i] == y[j]);
    t[i * STRIDE + j] = value;
    sum += value;
  }
  means[i] = sum / f32(IMAGES);
}
