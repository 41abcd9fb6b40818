// dx[n, iy, ix, c] = dy[n, oy, ox, c] / divisor of the only window that contains (iy, ix), else 0: avg_pool2d_backward.wgsl
// for windows that do not overlap, KERNEL_SIZE <= POOL_STRIDE. One invocation per four channels of a window and of the gap
// before the next one, so that dy is read and divided once.
// dy: batch * OUT_HEIGHT * OUT_WIDTH x COLUMNS, stride OUT_STRIDE, zero pads. dx: batch * HEIGHT * WIDTH (NHWC) x COLUMNS,
// stride STRIDE, zero pads as dy has them; BLOCKS = batch * BLOCKS_Y * BLOCKS_X blocks of POOL_STRIDE_Y x POOL_STRIDE_X pixels
// cover it.
// Bindings: dy, dx. Launched by recordAvgPool2dBackward (src/kernels/avg_pool.ts). Reference: src/reference/pool.ts.
#include "pool/window_pixels.wgsl"

@group(0) @binding(0) var<storage, read> dy: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= BLOCKS * (STRIDE / 4u)) { return; }
  let column = i % (STRIDE / 4u);
  let block = i / (STRIDE / 4u);
  let at = vec2u(block % BLOCKS_X, block / BLOCKS_X % BLOCKS_Y);
  let image = block / (BLOCKS_X * BLOCKS_Y);
  var share = vec4f();
  if (column * 4u < COLUMNS && all(at < vec2u(OUT_WIDTH, OUT_HEIGHT))) {
    let window = ((image * OUT_HEIGHT + at.y) * OUT_WIDTH + at.x) * (OUT_STRIDE / 4u) + column;
    share = dy[window] / window_pixels(at * POOL_STRIDE);
  }
  for (var ky = 0u; ky < POOL_STRIDE_Y; ky++) {
    for (var kx = 0u; kx < POOL_STRIDE_X; kx++) {
      // Positions before the image wrap around to large numbers.
      let pixel = at * POOL_STRIDE + vec2u(kx, ky) - PADDING;
      if (all(pixel < vec2u(WIDTH, HEIGHT))) {
        let in_window = ky < KERNEL_HEIGHT && kx < KERNEL_WIDTH;
        let row = (image * HEIGHT + pixel.y) * WIDTH + pixel.x;
        dx[row * (STRIDE / 4u) + column] = select(vec4f(), share, in_window);
      }
    }
  }
}
