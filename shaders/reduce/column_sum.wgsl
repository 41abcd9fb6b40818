// y[c, j] = sum of x[r, j] over the rows r of chunk c: rows c * CHUNK_ROWS up to (c + 1) * CHUNK_ROWS, in order.
// x: ROWS x COLUMNS, stride STRIDE, zero pads. y: CHUNKS x COLUMNS, the same stride; CHUNKS = 1 is the column sum (a bias
// gradient), and a tall matrix is summed in two passes of this shader. One invocation per vec4 of y.
// Bindings: x, y. Launched by recordColumnSum (src/kernels/reduce.ts).
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= CHUNKS * (STRIDE / 4u)) { return; }
  let chunk = i / (STRIDE / 4u);
  let column = i % (STRIDE / 4u);
  let end = min(ROWS, (chunk + 1u) * CHUNK_ROWS);
  var sum = vec4f();
  for (var row = chunk * CHUNK_ROWS; row < end; row++) { sum += x[row * (STRIDE / 4u) + column]; }
  y[i] = sum;
}
