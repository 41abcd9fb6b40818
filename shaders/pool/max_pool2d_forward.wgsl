// y[n, oy, ox, c] = act(max of x[n, iy, ix, c]) over the window iy = oy POOL_STRIDE_Y - PADDING_TOP + ky, ix alike, 0 <=
// ky < KERNEL_HEIGHT, 0 <= kx < KERNEL_WIDTH, without pixels outside the image; chosen[n, oy, ox, c] = ky KERNEL_WIDTH + kx
// of the maximum. As in PyTorch, the first of equal values wins, NaN wins over numbers, and a later NaN wins over an
// earlier one.
// x: ROWS = batch * HEIGHT * WIDTH (NHWC) x COLUMNS, stride STRIDE. y: batch * OUT_HEIGHT * OUT_WIDTH = OUT_ROWS x COLUMNS,
// stride OUT_STRIDE. chosen: u32, laid out as y. Pads of both are written zero. One invocation per four channels of an
// output pixel. Values are moved as bits, so that they do not change without an activation.
// Bindings: x, y, chosen. Launched by recordMaxPool2dForward (src/kernels/pool.ts). Reference: src/reference/pool.ts.
#include "common/activation.wgsl"
#include "common/columns.wgsl"
#include "pool/windows.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> chosen: array<vec4u>;

fn is_nan(bits: vec4u) -> vec4<bool> { return (bits & vec4u(0x7fffffffu)) > vec4u(0x7f800000u); }

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
  var best = vec4u();
  var place = vec4u();
  if (column * 4u < COLUMNS) {
    for (var ky = first.y; ky < last.y; ky++) {
      let row = (image + corner.y + ky - PADDING.y) * WIDTH + corner.x - PADDING.x;
      for (var kx = first.x; kx < last.x; kx++) {
        let value = x[(row + kx) * (STRIDE / 4u) + column];
        let larger = (bitcast<vec4f>(value) > bitcast<vec4f>(best)) & !is_nan(best);
        let taken = larger | is_nan(value) | vec4<bool>(ky == first.y && kx == first.x);
        best = select(best, value, taken);
        place = select(place, vec4u(ky * KERNEL_WIDTH + kx), taken);
      }
    }
  }
  if (ACTIVATION != 0u) { best = bitcast<vec4u>(activate(bitcast<vec4f>(best))); }
  let keep = in_row(column * 4u);
  y[i] = select(vec4u(), best, keep);
  chosen[i] = select(vec4u(), place, keep);
}
