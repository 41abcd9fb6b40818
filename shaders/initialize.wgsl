// Initial weights, y[r, j] = SCALE * z: KIND 0 z = 1, KIND 1 z standard normal, KIND 2 z uniform in [-1, 1).
// z comes from pcg4d(r * COLUMNS + j, TENSOR, SEED_LOW, SEED_HIGH): z does not depend on padding.
// y: ROWS x COLUMNS, stride STRIDE; pads are written zero, including those of convolutions, whose taps have PADDED columns
// each, of which the first CHANNELS hold weights. One invocation per vec4.
// Bindings: y. Launched by recordInitialize (src/kernels/initialize.ts).
#include "common/hash.wgsl"
#include "common/normal.wgsl"

@group(0) @binding(0) var<storage, read_write> y: array<vec4f>;

fn draw(row: u32, column: u32) -> f32 {
  if (column >= COLUMNS || column % PADDED >= CHANNELS) { return 0.0; }
  if (KIND == 0u) { return SCALE; }
  let words = pcg4d(vec4u(row * COLUMNS + column, TENSOR, SEED_LOW, SEED_HIGH));
  if (KIND == 1u) { return SCALE * standard_normals(words.xy).x; }
  return SCALE * (f32(words.x >> 8u) * 0x1p-23f - 1.0);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let row = i / (STRIDE / 4u);
  let column = i % (STRIDE / 4u) * 4u;
  y[i] = vec4f(draw(row, column), draw(row, column + 1u), draw(row, column + 2u), draw(row, column + 3u));
}
