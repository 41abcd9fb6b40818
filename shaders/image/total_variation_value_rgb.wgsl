// total_variation_value.wgsl for RGB: results[r].x += WEIGHT / (3 HEIGHT WIDTH) sum over differences d (right and down, channel
// by channel) of sqrt(d^2 + EPSILON) - sqrt(EPSILON).
// x: ROWS images of HEIGHT x WIDTH pixels of three f32 in matrix rows of STRIDE f32. results: ROWS x (cost, confidence).
// One invocation per row, pixels in order. Bindings: x, results. Launched by recordTotalVariationValue
// (src/kernels/image.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> results: array<vec2f>;

fn rgb(at: u32) -> vec3f { return vec3f(x[at], x[at + 1u], x[at + 2u]); }
fn smoothed(d: vec3f) -> vec3f { return sqrt(d * d + vec3f(EPSILON)) - vec3f(sqrt(EPSILON)); }

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  if (row >= ROWS) { return; }
  var sum = vec3f();
  var at = row * STRIDE;
  for (var line = 0u; line < HEIGHT; line++) {
    // A neighbour beyond the border is the pixel itself: the difference is 0 and adds nothing.
    let down = select(0u, 3u * WIDTH, line + 1u < HEIGHT);
    var here = rgb(at);
    for (var column = 0u; column < WIDTH; column++) {
      let right = rgb(at + select(0u, 3u, column + 1u < WIDTH));
      sum += smoothed(right - here) + smoothed(rgb(at + down) - here);
      here = right;
      at += 3u;
    }
  }
  results[row].x += WEIGHT * (sum.x + sum.y + sum.z) / f32(3u * WIDTH * HEIGHT);
}
