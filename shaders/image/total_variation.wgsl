// g += WEIGHT * dE/dx, E = 1 / (HEIGHT WIDTH) sum over forward differences d (right and down) of sqrt(d^2 + EPSILON):
// smoothed anisotropic total variation (after Rudin, Osher, Fatemi 1992). Every pixel gathers its at most four differences:
//   dE/dx[p] = (s(x[p] - left) + s(x[p] - above) - s(right - x[p]) - s(below - x[p])) / (HEIGHT WIDTH),
//   s(d) = d / sqrt(d^2 + EPSILON); differences across the border do not exist.
// x, g: ROWS images of HEIGHT x WIDTH pixels, row-major in a matrix row of stride STRIDE; pads of g are left alone.
// One invocation a pixel. Bindings: x, g. Launched by recordTotalVariation (src/kernels/image.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> g: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * STRIDE) { return; }
  let pixel = i % STRIDE;
  if (pixel >= WIDTH * HEIGHT) { return; }
  let line = pixel / WIDTH;
  let column = pixel % WIDTH;
  // A neighbour beyond the border is the pixel itself: its difference is 0 and so is its slope.
  let left = x[i - select(0u, 1u, column > 0u)];
  let right = x[i + select(0u, 1u, column + 1u < WIDTH)];
  let above = x[i - select(0u, WIDTH, line > 0u)];
  let below = x[i + select(0u, WIDTH, line + 1u < HEIGHT)];
  let here = x[i];
  let d = vec4f(here - left, here - above, right - here, below - here);
  let slope = d / sqrt(d * d + vec4f(EPSILON));
  g[i] += (WEIGHT / f32(WIDTH * HEIGHT)) * ((slope.x + slope.y) - (slope.z + slope.w));
}
