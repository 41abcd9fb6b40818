// g += WEIGHT * dE/dx, E = 1 / (HEIGHT WIDTH) sum over forward differences d (right and down) of sqrt(d^2 + EPSILON):
// smoothed anisotropic total variation (after Rudin, Osher, Fatemi 1992). Every pixel gathers up to four differences:
//   dE/dx[p] = (s(x[p] - left) + s(x[p] - above) - s(right - x[p]) - s(below - x[p])) / (HEIGHT WIDTH),
//   s(d) = d / sqrt(d^2 + EPSILON); differences across the border do not exist.
// x, g: ROWS images of HEIGHT x WIDTH pixels, row-major in a matrix row of stride STRIDE; pads of g are not written.
// One invocation computes four consecutive pixels, which share loads and index arithmetic; they may lie on two lines of the
// image. Bindings: x, g. Launched by recordTotalVariation (src/kernels/image.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> g: array<vec4f>;

fn slope(d: vec4f) -> vec4f { return d / sqrt(d * d + vec4f(EPSILON)); }

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let word = id.x + id.y * GRID_WIDTH;
  if (word >= ROWS * STRIDE / 4u) { return; }
  let i = word * 4u;
  let first = i % STRIDE;
  if (first >= WIDTH * HEIGHT) { return; }
  let pixel = vec4u(first) + vec4u(0u, 1u, 2u, 3u);
  let column = pixel % vec4u(WIDTH);
  let here = vec4f(x[i], x[i + 1u], x[i + 2u], x[i + 3u]);
  // A neighbour beyond the border is the pixel itself: its difference is 0 and so is its slope.
  let before = x[i - select(0u, 1u, first > 0u)];
  let after = x[i + 4u];
  let left = select(here, vec4f(before, here.xyz), column > vec4u(0u));
  let right = select(here, vec4f(here.yzw, after), column + 1u < vec4u(WIDTH));
  // Computed per pixel: of four pixels on two lines, only the later ones may have a pixel above them.
  let up = vec4u(i) + vec4u(0u, 1u, 2u, 3u) - min(pixel, vec4u(WIDTH));
  let above4 = vec4f(x[up.x], x[up.y], x[up.z], x[up.w]);
  let above = select(here, above4, pixel >= vec4u(WIDTH));
  let down = i + WIDTH;
  let below4 = vec4f(x[down], x[down + 1u], x[down + 2u], x[down + 3u]);
  let below = select(here, below4, pixel + WIDTH < vec4u(WIDTH * HEIGHT));
  let sum = (slope(here - left) + slope(here - above)) - (slope(right - here) + slope(below - here));
  g[word] += select(vec4f(), (WEIGHT / f32(WIDTH * HEIGHT)) * sum, pixel < vec4u(WIDTH * HEIGHT));
}
