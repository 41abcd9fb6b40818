// Mean squared error over all n = ROWS * COLUMNS elements, and its gradient:
//   dx[r, j] = 2 (x[r, j] - t[r, j]) / n, results[r] = (sum_j (x[r, j] - t[r, j])^2 / COLUMNS, 0)
// The mean of results[r].x over the rows is the loss, so loss/accumulate_metrics.wgsl handles it like the cross-entropy.
// x, t, dx: ROWS x COLUMNS, stride STRIDE; pads of x and t are zero, so those of dx are. One invocation per row.
// Bindings: x, t, dx, results. Launched by recordMse (src/kernels/loss.ts).
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> t: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> results: array<vec2f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let first = row * (STRIDE / 4u);
  var sums = vec4f();
  for (var i = 0u; i < STRIDE / 4u; i++) {
    let difference = x[first + i] - t[first + i];
    sums += difference * difference;
    dx[first + i] = difference * (2.0 / (f32(ROWS) * f32(COLUMNS)));
  }
  results[row] = vec2f(((sums.x + sums.y) + (sums.z + sums.w)) / f32(COLUMNS), 0.0);
}
