// y[r] = max_j |x[r, j]|: the range of every row, to which number formats with one scale per row are fitted.
// x: ROWS x COLUMNS, stride STRIDE, zero pads. y: ROWS f32. One invocation per row.
// Bindings: x, y. Launched by recordRowMaxAbs (src/kernels/reduce.ts).
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let first = row * (STRIDE / 4u);
  var largest = vec4f();
  for (var i = 0u; i < STRIDE / 4u; i++) {
    largest = max(largest, abs(x[first + i]));
  }
  y[row] = max(max(largest.x, largest.y), max(largest.z, largest.w));
}
