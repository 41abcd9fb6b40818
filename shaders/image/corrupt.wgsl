// y = x + DEVIATION * z, z standard normal: the corrupted input of a denoising autoencoder. Not clamped.
// The four numbers of pixels 4q..4q+3 come from pcg4d(q, k, step.draw, STREAM), where k =
// order[step.batch_offset + r] is the image in the data set: the noise of an image depends on `draw` but not on its batch.
// x, y: ROWS x COLUMNS, stride STRIDE; pads are written zero. One invocation per vec4.
// Bindings: x, order, y, step (batch_offset, draw). Launched by recordCorrupt (src/kernels/batch.ts).
#include "struct/step"
#include "common/columns.wgsl"
#include "common/hash.wgsl"
#include "common/normal.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> step: Step;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let row = i / (STRIDE / 4u);
  let quad = i % (STRIDE / 4u);
  let words = pcg4d(vec4u(quad, order[step.batch_offset + row], step.draw, STREAM));
  let noise = vec4f(standard_normals(words.xy), standard_normals(words.zw));
  y[i] = select(vec4f(), x[i] + DEVIATION * noise, in_row(quad * 4u));
}
