// sharpen.wgsl for RGB: y = clamp(x + AMOUNT (x - blur(x)), 0, 1) in every channel, blur the 3 x 3 binomial
// (1 2 1) x (1 2 1) / 16, edges clamped.
// x, y: ROWS images of HEIGHT x WIDTH pixels of three f32, row-major in a matrix row of stride STRIDE; pads are written zero.
// One invocation per value. Bindings: x, y. Launched by recordSharpen (src/kernels/image.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

// (1 2 1) across the pixels left, at and right of `column`; `line` is the index of the channel in the line's first pixel
fn blur_line(line: u32, left: u32, column: u32, right: u32) -> f32 {
  return x[line + 3u * left] + 2.0 * x[line + 3u * column] + x[line + 3u * right];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * STRIDE) { return; }
  let value = i % STRIDE;
  if (value >= 3u * WIDTH * HEIGHT) {
    y[i] = 0.0;
    return;
  }
  let pixel = value / 3u;
  let first = i - value + value % 3u;
  let line = pixel / WIDTH;
  let column = pixel % WIDTH;
  let left = max(column, 1u) - 1u;
  let right = min(column + 1u, WIDTH - 1u);
  let above = first + 3u * (max(line, 1u) - 1u) * WIDTH;
  let below = first + 3u * min(line + 1u, HEIGHT - 1u) * WIDTH;
  let here = first + 3u * line * WIDTH;
  let blur = (blur_line(above, left, column, right) + 2.0 * blur_line(here, left, column, right)
    + blur_line(below, left, column, right)) * 0.0625;
  y[i] = clamp(x[i] + AMOUNT * (x[i] - blur), 0.0, 1.0);
}
