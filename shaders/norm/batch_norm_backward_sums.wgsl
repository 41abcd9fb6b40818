// partial[p, c] = (sum of d[r, c], sum of d[r, c] * (x[r, c] - mean[c])) over the rows r = p, p + PARTIALS,
// p + 2 PARTIALS, ..., in order, d = dy act' being the gradient before the activation (common/output_gradient.wgsl): the
// first of two stages of the parameter gradients of batch normalisation.
// x, y, dy: ROWS x COLUMNS, stride STRIDE, zero pads; PARTIALS <= ROWS. mean: 1 x COLUMNS, the saved or the running one.
// partial: PARTIALS x STRIDE / 4 pairs of vec4f. One invocation per pair: four channels.
// Bindings: x, y (not read without an activation), dy, mean, partial. Launched by recordBatchNormBackward and
// recordBatchNormInferenceBackward (src/kernels/norm.ts). Reference: src/reference/norm.ts.
#include "common/output_gradient.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read> mean: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> partial: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= PARTIALS * (STRIDE / 4u)) { return; }
  let center = mean[i % (STRIDE / 4u)];
  var sum = vec4f();
  var products = vec4f();
  for (var at = i; at < ROWS * (STRIDE / 4u); at += PARTIALS * (STRIDE / 4u)) {
    let d = output_gradient(at);
    sum += d;
    products += d * (x[at] - center);
  }
  partial[2u * i] = sum;
  partial[2u * i + 1u] = products;
}
