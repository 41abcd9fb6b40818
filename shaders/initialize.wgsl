// Initial weights, y[r, j] = scale * z: kind 0 z = 1, kind 1 z standard normal, kind 2 z uniform in [-1, 1).
// z comes from pcg4d(r * columns + j, tensor, seed_low, seed_high): z does not depend on padding.
// y: rows x columns, stride `stride`; pads are written zero, including those of convolutions, whose taps have `padded` columns
// each, of which the first `channels` hold weights. One invocation per vec4. A model has dozens of tensors, each of which is filled
// once: their shapes are read from a buffer, because compiling a pipeline takes longer than filling a tensor.
// Bindings: settings, y. Launched by recordInitialize (src/kernels/initialize.ts).
#include "common/hash.wgsl"
#include "common/normal.wgsl"
#include "struct/initialization"

@group(0) @binding(0) var<storage, read> settings: Initialization;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

fn draw(row: u32, column: u32) -> f32 {
  if (column >= settings.columns || column % settings.padded >= settings.channels) { return 0.0; }
  if (settings.kind == 0u) { return settings.scale; }
  let words = pcg4d(vec4u(row * settings.columns + column, settings.tensor, settings.seed_low, settings.seed_high));
  if (settings.kind == 1u) { return settings.scale * standard_normals(words.xy).x; }
  return settings.scale * (f32(words.x >> 8u) * 0x1p-23f - 1.0);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * settings.grid_width;
  let vectors = settings.stride / 4u;
  if (i >= settings.rows * vectors) { return; }
  let row = i / vectors;
  let column = i % vectors * 4u;
  y[i] = vec4f(draw(row, column), draw(row, column + 1u), draw(row, column + 2u), draw(row, column + 3u));
}
