// Unsharp mask: y = clamp(x + AMOUNT (x - blur(x)), 0, 1), blur the 3 x 3 binomial (1 2 1) x (1 2 1) / 16, edges clamped.
// x, y: ROWS images of HEIGHT x WIDTH pixels, row-major in a matrix row of stride STRIDE; pads are written zero.
// One invocation per pixel. Bindings: x, y. Launched by recordSharpen (src/kernels/image.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

// (1 2 1) across the pixels left, at and right of `column`
fn blur_line(line: u32, left: u32, column: u32, right: u32) -> f32 {
  return x[line + left] + 2.0 * x[line + column] + x[line + right];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * STRIDE) { return; }
  let pixel = i % STRIDE;
  if (pixel >= WIDTH * HEIGHT) {
    y[i] = 0.0;
    return;
  }
  let image = i - pixel;
  let line = pixel / WIDTH;
  let column = pixel % WIDTH;
  let left = max(column, 1u) - 1u;
  let right = min(column + 1u, WIDTH - 1u);
  let above = image + (max(line, 1u) - 1u) * WIDTH;
  let below = image + min(line + 1u, HEIGHT - 1u) * WIDTH;
  let here = image + line * WIDTH;
  let blur = (blur_line(above, left, column, right) + 2.0 * blur_line(here, left, column, right)
    + blur_line(below, left, column, right)) * 0.0625;
  y[i] = clamp(x[i] + AMOUNT * (x[i] - blur), 0.0, 1.0);
}
