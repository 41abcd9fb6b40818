// dx[r, j] = weights[r] dx[r, j]: turns the gradient of a mean over rows into that of a weighted sum.
// dx: ROWS x COLUMNS, stride STRIDE, pads stay zero. weights: ROWS f32. One invocation per row.
// Bindings: weights, dx. Launched by recordWeighRows (src/kernels/flips.ts). Reference: weighRows in src/reference/flips.ts.
@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  for (var i = 0u; i < STRIDE / 4u; i++) { dx[row * (STRIDE / 4u) + i] *= weights[row]; }
}
