// non_local_means.wgsl for RGB: y[p] = sum_q w(p, q) x[q] / sum_q w(p, q), where the patches around p and q are compared in all
// channels together, so that a pixel keeps one weight for its colour: w(p, q) = exp(-d(p, q) / h^2), d the mean squared
// difference over patch and channels. EXPONENT = 1 / (3 h^2 (2 PATCH_RADIUS + 1)^2) times the sum of squares. Beyond the edges
// of an image, its edge pixels are repeated.
// x, y: ROWS images of HEIGHT x WIDTH pixels of three f32, row-major in a matrix row of stride STRIDE; pads of y are not
// written. One invocation per pixel. Bindings: x, y. Launched by recordNonLocalMeans (src/kernels/image.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const PIXELS: u32 = WIDTH * HEIGHT;
const PATCH: i32 = i32(PATCH_RADIUS);
const SEARCH: i32 = i32(SEARCH_RADIUS);

fn rgb(image: u32, line: i32, column: i32) -> vec3f {
  let pixel = u32(clamp(line, 0, i32(HEIGHT) - 1)) * WIDTH + u32(clamp(column, 0, i32(WIDTH) - 1));
  let at = image + 3u * pixel;
  return vec3f(x[at], x[at + 1u], x[at + 2u]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * PIXELS) { return; }
  let pixel = i % PIXELS;
  let image = i / PIXELS * STRIDE;
  let line = i32(pixel / WIDTH);
  let column = i32(pixel % WIDTH);
  var sum = vec3f();
  var weights = 0.0;
  for (var dy = -SEARCH; dy <= SEARCH; dy++) {
    for (var dx = -SEARCH; dx <= SEARCH; dx++) {
      var squares = 0.0;
      for (var v = -PATCH; v <= PATCH; v++) {
        for (var u = -PATCH; u <= PATCH; u++) {
          let d = rgb(image, line + v, column + u) - rgb(image, line + dy + v, column + dx + u);
          squares += dot(d, d);
        }
      }
      let weight = exp(-EXPONENT * squares);
      sum += weight * rgb(image, line + dy, column + dx);
      weights += weight;
    }
  }
  let mean = sum / weights;
  let at = image + 3u * pixel;
  y[at] = mean.x;
  y[at + 1u] = mean.y;
  y[at + 2u] = mean.z;
}
