// y[n, oy, ox, c] = sum of x[n, iy, ix, c] / divisor over the window iy = oy POOL_STRIDE_Y - PADDING_TOP + ky, ix alike, 0 <=
// ky < KERNEL_HEIGHT, 0 <= kx < KERNEL_WIDTH, without pixels outside the image; see pool/window_pixels.wgsl for the divisor.
// Rows of the window are added up first: the error of the sum grows with height plus width, not with their product.
// x: ROWS = batch * HEIGHT * WIDTH (NHWC) x COLUMNS, stride STRIDE. y: batch * OUT_HEIGHT * OUT_WIDTH = OUT_ROWS x COLUMNS,
// stride OUT_STRIDE. Pads of x are zero, those of y are written zero. One invocation per four channels of an output pixel.
// Bindings: x, y. Launched by recordAvgPool2dForward (src/kernels/avg_pool.ts). Reference: src/reference/pool.ts.
#include "pool/window_pixels.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= OUT_ROWS * (OUT_STRIDE / 4u)) { return; }
  let column = i % (OUT_STRIDE / 4u);
  let pixel = i / (OUT_STRIDE / 4u);
  // Corner of the window, and the part of it that lies in the image: window rows first.y .. last.y - 1.
  let corner = vec2u(pixel % OUT_WIDTH, pixel / OUT_WIDTH % OUT_HEIGHT) * POOL_STRIDE;
  let first = max(corner, PADDING) - corner;
  let last = min(KERNEL_SIZE, vec2u(WIDTH, HEIGHT) + PADDING - corner);
  let image = pixel / (OUT_WIDTH * OUT_HEIGHT) * HEIGHT;
  var sum = vec4f();
  if (column * 4u < COLUMNS) {
    for (var ky = first.y; ky < last.y; ky++) {
      let row = (image + corner.y + ky - PADDING.y) * WIDTH + corner.x - PADDING.x;
      var row_sum = vec4f();
      for (var kx = first.x; kx < last.x; kx++) { row_sum += x[(row + kx) * (STRIDE / 4u) + column]; }
      sum += row_sum;
    }
  }
  y[i] = sum / window_pixels(corner);
}
