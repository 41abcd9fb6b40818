// partial[p, c] = (S, M): S = sum of x[r, c] over the rows r = p, p + PARTIALS, p + 2 PARTIALS, ..., in order, and
// M = sum of (x[r, c] - S / n)^2 over the same n rows: the first of two stages of batch normalisation's statistics.
// x: ROWS x COLUMNS, stride STRIDE (rows are the pixels of all images), zero pads; PARTIALS <= ROWS.
// partial: PARTIALS x STRIDE / 4 pairs of vec4f. One invocation per pair: four channels.
// Bindings: x, partial. Launched by recordBatchNormTraining (src/kernels/norm.ts). Reference: src/reference/norm.ts.
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> partial: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= PARTIALS * (STRIDE / 4u)) { return; }
  // The next row lies PARTIALS * STRIDE / 4 vectors further on, so neighbouring invocations read neighbouring vectors.
  var sum = vec4f();
  for (var at = i; at < ROWS * (STRIDE / 4u); at += PARTIALS * (STRIDE / 4u)) { sum += x[at]; }
  let rows = (ROWS - 1u - i / (STRIDE / 4u)) / PARTIALS + 1u;
  let mean = sum / f32(rows);
  var squares = vec4f();
  for (var at = i; at < ROWS * (STRIDE / 4u); at += PARTIALS * (STRIDE / 4u)) {
    let d = x[at] - mean;
    squares += d * d;
  }
  partial[2u * i] = sum;
  partial[2u * i + 1u] = squares;
}
