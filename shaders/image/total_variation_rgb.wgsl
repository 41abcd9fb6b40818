// total_variation.wgsl for RGB: g += WEIGHT * dE/dx, E = 1 / (3 HEIGHT WIDTH) sum over forward differences d (right and down,
// channel by channel) of sqrt(d^2 + EPSILON).
// x, g: ROWS images of HEIGHT x WIDTH pixels of three f32, row-major in a matrix row of stride STRIDE; pads of g are not
// written. One invocation per pixel. Bindings: x, g. Launched by recordTotalVariation (src/kernels/image.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> g: array<f32>;

const PIXELS: u32 = WIDTH * HEIGHT;

fn rgb(at: u32) -> vec3f { return vec3f(x[at], x[at + 1u], x[at + 2u]); }
fn slope(d: vec3f) -> vec3f { return d / sqrt(d * d + vec3f(EPSILON)); }

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * PIXELS) { return; }
  let pixel = i % PIXELS;
  let column = pixel % WIDTH;
  let at = i / PIXELS * STRIDE + 3u * pixel;
  // A neighbour beyond the border is the pixel itself: its difference is 0 and so is its slope.
  let here = rgb(at);
  let left = rgb(at - select(0u, 3u, column > 0u));
  let right = rgb(at + select(0u, 3u, column + 1u < WIDTH));
  let above = rgb(at - select(0u, 3u * WIDTH, pixel >= WIDTH));
  let below = rgb(at + select(0u, 3u * WIDTH, pixel + WIDTH < PIXELS));
  let sum = (slope(here - left) + slope(here - above)) - (slope(right - here) + slope(below - here));
  let added = (WEIGHT / f32(3u * PIXELS)) * sum;
  g[at] += added.x;
  g[at + 1u] += added.y;
  g[at + 2u] += added.z;
}
