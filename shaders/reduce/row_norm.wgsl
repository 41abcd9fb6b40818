// y[r] = sqrt(sum_j x[r, j]^2), the L2 norm of every row, from four sums over every fourth column.
// x: ROWS x COLUMNS, stride STRIDE, zero pads. y: ROWS f32. One invocation per row.
// Bindings: x, y. Launched by recordRowNorm (src/kernels/reduce.ts).
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let first = row * (STRIDE / 4u);
  var sums = vec4f();
  for (var i = 0u; i < STRIDE / 4u; i++) {
    let v = x[first + i];
    sums += v * v;
  }
  y[row] = sqrt((sums.x + sums.y) + (sums.z + sums.w));
}
