// dx[n, iy, ix, c] = sum of d[n, oy, ox, c] over the windows that have (iy, ix) as element ky KERNEL_WIDTH + kx = chosen[n,
// oy, ox, c], in the order of the windows: every input element gathers from the windows around it. d = dy act' is
// the gradient before the activation (common/output_gradient.wgsl).
// y, dy: batch * OUT_HEIGHT * OUT_WIDTH x COLUMNS, stride OUT_STRIDE. chosen: u32, laid out as they are. y and chosen are
// those of the forward pass.
// dx: ROWS = batch * HEIGHT * WIDTH (NHWC) x COLUMNS, stride STRIDE; pads are written zero. One invocation per four
// channels of an input pixel.
// Bindings: chosen, y (not read without an activation), dy, dx. Launched by recordMaxPool2dBackward (src/kernels/pool.ts).
// Reference: src/reference/pool.ts.
#include "common/columns.wgsl"
#include "common/output_gradient.wgsl"
#include "pool/windows.wgsl"

@group(0) @binding(0) var<storage, read> chosen: array<vec4u>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let column = i % (STRIDE / 4u);
  let pixel = i / (STRIDE / 4u);
  // Position in the padded image, whose windows begin at multiples of POOL_STRIDE: o reaches it when
  // o POOL_STRIDE <= at < o POOL_STRIDE + KERNEL_SIZE.
  let at = vec2u(pixel % WIDTH, pixel / WIDTH % HEIGHT) + PADDING;
  let first = (max(at + 1u, KERNEL_SIZE) - KERNEL_SIZE + (POOL_STRIDE - 1u)) / POOL_STRIDE;
  let last = min(at / POOL_STRIDE + 1u, vec2u(OUT_WIDTH, OUT_HEIGHT));
  let image = pixel / (WIDTH * HEIGHT) * OUT_HEIGHT;
  var sum = vec4f();
  if (column * 4u < COLUMNS) {
    for (var oy = first.y; oy < last.y; oy++) {
      for (var ox = first.x; ox < last.x; ox++) {
        let window = ((image + oy) * OUT_WIDTH + ox) * (OUT_STRIDE / 4u) + column;
        let place = (at.y - oy * POOL_STRIDE_Y) * KERNEL_WIDTH + at.x - ox * POOL_STRIDE_X;
        sum += select(vec4f(), output_gradient(window), chosen[window] == vec4u(place));
      }
    }
  }
  dx[i] = select(vec4f(), sum, in_row(column * 4u));
}
