// results[r].x += WEIGHT / (HEIGHT WIDTH) sum over differences d (right and down) of sqrt(d^2 + EPSILON) - sqrt(EPSILON):
// turns the cost of an attack into its objective by adding the function whose gradient total_variation.wgsl adds (0 for a
// flat image). x: ROWS images of HEIGHT x WIDTH in matrix rows of STRIDE f32. results: ROWS x (cost, confidence).
// One invocation per row, pixels in order. Bindings: x, results. Launched by recordTotalVariationValue
// (src/kernels/image.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> results: array<vec2f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  if (row >= ROWS) { return; }
  var sum = 0.0;
  var at = row * STRIDE;
  for (var line = 0u; line < HEIGHT; line++) {
    // A neighbour beyond the border is the pixel itself: the difference is 0 and adds nothing.
    let down = select(0u, WIDTH, line + 1u < HEIGHT);
    var here = x[at];
    for (var column = 0u; column < WIDTH; column++) {
      let right = x[at + select(0u, 1u, column + 1u < WIDTH)];
      let d = vec2f(right - here, x[at + down] - here);
      let s = sqrt(d * d + vec2f(EPSILON)) - vec2f(sqrt(EPSILON));
      sum += s.x + s.y;
      here = right;
      at++;
    }
  }
  results[row].x += WEIGHT * sum / f32(WIDTH * HEIGHT);
}
