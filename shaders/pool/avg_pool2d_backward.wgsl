// dx[n, iy, ix, c] = sum of dy[n, oy, ox, c] / divisor over the windows that contain (iy, ix), in the order of the windows:
// every input element gathers from the windows around it; see pool/window_pixels.wgsl for the divisor.
// dy: batch * OUT_HEIGHT * OUT_WIDTH x COLUMNS, stride OUT_STRIDE, zero pads. dx: ROWS = batch * HEIGHT * WIDTH (NHWC) x
// COLUMNS, stride STRIDE; pads are written zero. One invocation per four channels of an input pixel.
// Bindings: dy, dx. Launched by recordAvgPool2dBackward (src/kernels/avg_pool.ts). Reference: src/reference/pool.ts.
#include "pool/window_pixels.wgsl"

@group(0) @binding(0) var<storage, read> dy: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let column = i % (STRIDE / 4u);
  let pixel = i / (STRIDE / 4u);
  // Position in the padded image: window o reaches it when o POOL_STRIDE <= at < o POOL_STRIDE + KERNEL_SIZE.
  let at = vec2u(pixel % WIDTH, pixel / WIDTH % HEIGHT) + PADDING;
  let first = (max(at + 1u, KERNEL_SIZE) - KERNEL_SIZE + (POOL_STRIDE - 1u)) / POOL_STRIDE;
  let last = min(at / POOL_STRIDE + 1u, vec2u(OUT_WIDTH, OUT_HEIGHT));
  let image = pixel / (WIDTH * HEIGHT) * OUT_HEIGHT;
  var sum = vec4f();
  if (column * 4u < COLUMNS) {
    for (var oy = first.y; oy < last.y; oy++) {
      for (var ox = first.x; ox < last.x; ox++) {
        let window = ((image + oy) * OUT_WIDTH + ox) * (OUT_STRIDE / 4u) + column;
        sum += dy[window] / window_pixels(vec2u(ox, oy) * POOL_STRIDE);
      }
    }
  }
  dx[i] = sum;
}
