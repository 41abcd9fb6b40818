// dx[n, iy, ix, c] = d[n, oy, ox, c] where the only window over (iy, ix) has it as element ky KERNEL_WIDTH + kx = chosen[n,
// oy, ox, c], else 0: max_pool2d_backward.wgsl for windows that do not overlap, KERNEL_SIZE <= POOL_STRIDE. One invocation
// per four channels of a window and of the gap before the next one, so that dy and chosen are read once (2.7 times as
// fast). d = dy act' is the gradient before the activation (common/output_gradient.wgsl).
// y, dy: batch * OUT_HEIGHT * OUT_WIDTH x COLUMNS, stride OUT_STRIDE, zero pads. chosen: u32, laid out as they are. y and
// chosen are those of the forward pass.
// dx: batch * HEIGHT * WIDTH (NHWC) x COLUMNS, stride STRIDE, zero pads as dy has them; BLOCKS = batch * BLOCKS_Y *
// BLOCKS_X blocks of POOL_STRIDE_Y x POOL_STRIDE_X pixels cover it.
// Bindings: chosen, y (not read without an activation), dy, dx. Launched by recordMaxPool2dBackward (src/kernels/pool.ts).
// Reference: src/reference/pool.ts.
#include "common/output_gradient.wgsl"
#include "pool/windows.wgsl"

@group(0) @binding(0) var<storage, read> chosen: array<vec4u>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= BLOCKS * (STRIDE / 4u)) { return; }
  let column = i % (STRIDE / 4u);
  let block = i / (STRIDE / 4u);
  let at = vec2u(block % BLOCKS_X, block / BLOCKS_X % BLOCKS_Y);
  let image = block / (BLOCKS_X * BLOCKS_Y);
  var gradient = vec4f();
  var place = vec4u();
  if (column * 4u < COLUMNS && all(at < vec2u(OUT_WIDTH, OUT_HEIGHT))) {
    let window = ((image * OUT_HEIGHT + at.y) * OUT_WIDTH + at.x) * (OUT_STRIDE / 4u) + column;
    gradient = output_gradient(window);
    place = chosen[window];
  }
  for (var ky = 0u; ky < POOL_STRIDE_Y; ky++) {
    for (var kx = 0u; kx < POOL_STRIDE_X; kx++) {
      // Positions before the image wrap around to large numbers.
      let pixel = at * POOL_STRIDE + vec2u(kx, ky) - PADDING;
      if (all(pixel < vec2u(WIDTH, HEIGHT))) {
        let in_window = ky < KERNEL_HEIGHT && kx < KERNEL_WIDTH;
        let is_chosen = (place == vec4u(ky * KERNEL_WIDTH + kx)) & vec4<bool>(in_window);
        let row = (image * HEIGHT + pixel.y) * WIDTH + pixel.x;
        dx[row * (STRIDE / 4u) + column] = select(vec4f(), gradient, is_chosen);
      }
    }
  }
}
