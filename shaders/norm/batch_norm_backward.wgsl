// dx[r, c] = gamma[c] * inverse[c] * (d[r, c] - dbeta[c] / ROWS - (x[r, c] - mean[c]) * inverse[c] * dgamma[c] / ROWS):
// the gradient through batch normalisation and through the statistics of the batch, which are functions of x as well
// (Ioffe and Szegedy 2015). d = dy act' is the gradient before the activation (common/output_gradient.wgsl).
// x, y, dy, dx: ROWS x COLUMNS, stride STRIDE; pads of x and dy are zero, those of dx are written zero. saved: mean and
// inverse, 2 x COLUMNS, stride SAVED_STRIDE. The others: 1 x COLUMNS, zero pads. One invocation computes rows g, g +
// GROUPS, g + 2 GROUPS, ... of four channels.
// Bindings: x, y (not read without an activation), dy, gamma, saved, dgamma, dbeta, dx. Launched by recordBatchNormBackward
// (src/kernels/norm.ts). Reference: src/reference/norm.ts.
#include "common/columns.wgsl"
#include "common/output_gradient.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(4) var<storage, read> saved: array<vec4f>;
@group(0) @binding(5) var<storage, read> dgamma: array<vec4f>;
@group(0) @binding(6) var<storage, read> dbeta: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= GROUPS * (STRIDE / 4u)) { return; }
  let column = i % (STRIDE / 4u);
  let center = saved[column];
  let inverse = saved[SAVED_STRIDE / 4u + column];
  let scale = select(vec4f(), gamma[column] * inverse, in_row(column * 4u));
  let shift = dbeta[column] / f32(ROWS);
  let slope = inverse * dgamma[column] / f32(ROWS);
  for (var at = i; at < ROWS * (STRIDE / 4u); at += GROUPS * (STRIDE / 4u)) {
    dx[at] = scale * (output_gradient(at) - shift - (x[at] - center) * slope);
  }
}
