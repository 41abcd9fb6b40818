// conv2d_input_gradient where dx has one channel, tap by tap and channel by channel as there, with the same bits:
// dx[n, iy, ix] = act(sum over ky, kx, oc with iy + PADDING - ky = oy STRIDE and ix + PADDING - kx = ox STRIDE of
//                 dy[n, oy, ox, oc] W[oc, ky, kx] + bias).
// The rows of the product are blocks of 2 x 2 pixels and its columns the pixels of a block, so that each load of dy serves
// four pixels: it is a convolution of stride 1 whose channels are sub-pixels. In each direction, the pixels of a block meet
// the same 2 / STRIDE pixels of dy, or their neighbours:
// pixel 2 q - PADDING % STRIDE + r, r = 0, 1, meets at kernel row t + r - (2 - STRIDE), if there is one, row
// q 2 / STRIDE + ORIGIN - t / STRIDE of dy, t = 0, STRIDE ..
// dy: NHWC, one pixel per row of STRIDE_A, with a row of zeros at ZERO_ROW; 4 DY_CHANNELS4 channels with the pads. W: one
// row per output channel, column 4 (ky KERNEL + kx), stride STRIDE_B; rows up to the next multiple of 4 are read. dx (here
// c): NHWC, one channel, stride STRIDE_C. A quad computes 16 blocks, and each invocation one pixel of every block. STRIDE
// is 1 or 2.
// Measured on SwiftShader, 4 x 4, stride 2, 16 x 16 x 16 -> 32 x 32: 5 times as fast as conv2d_input_gradient; 3 x 3,
// stride 1: 4 times.
// Bindings: dy, weights, bias, c, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2dInputGradient (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> dy: array<vec4f>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

fn load_a(i: u32) -> vec4f { return dy[i]; }
fn load_bias(i: u32) -> vec4f { return bias[i]; }

// The quad's tile is 16 blocks x 4 pixels; an invocation computes one of the 4 pixels.
const TILE_N: u32 = 4u;

alias Row = f32;

// The invocation's pixel at four consecutive k.
struct PanelB {
  p0: vec4f,
}

#include "gemm/quad_rows_16.wgsl"
#include "conv/rows_quad_16.wgsl"
#include "conv/taps.wgsl"
#include "conv/epilogue.wgsl"

// A is the first factor, because it serves no other column (see four_rank4).
fn row_rank1(a: f32, b: Row, c: Row) -> Row { return fma(a, b, c); }
fn row_rank4(a: vec4f, b: PanelB, c: Row) -> Row {
  return fma(a.w, b.p0.w, fma(a.z, b.p0.z, fma(a.y, b.p0.y, fma(a.x, b.p0.x, c))));
}

fn store_columns(row: u32, column: u32, value: f32) { store_row(row, column, vec4f(value, 0.0, 0.0, 0.0)); }

const ORIGIN: u32 = PADDING / STRIDE + 2u / STRIDE - 1u;
const SHIFT: u32 = 2u - STRIDE;
const TAP_STEP: u32 = STRIDE;
const TAP_END: u32 = KERNEL + SHIFT;
fn tap_move(tap: vec2u, first: vec2u) -> vec2i { return -vec2i(tap / STRIDE); }

// The weights of a pixel of the block in four rows of W from 4 channel4 on; zeros if the pixel has no such tap.
fn load_weights(tap: vec2u, pixel: vec2u, channel4: u32) -> PanelB {
  let at = tap + pixel - SHIFT;
  let is_tap = all(at < vec2u(KERNEL));
  let i = select(0u, 4u * (channel4 * STRIDE_B + at.x * KERNEL + at.y), is_tap);
  let w = vec4f(weights[i], weights[i + STRIDE_B], weights[i + 2u * STRIDE_B], weights[i + 3u * STRIDE_B]);
  return PanelB(select(vec4f(), w, is_tap));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let pixel = vec2u(id.x >> 1u, id.x & 1u);
  let size = (vec2u(C_HEIGHT, C_WIDTH) + PADDING % STRIDE + 1u) / 2u;
  let grid = Grid(0u, IMAGES, size, vec2i(i32(ORIGIN)), pixel - PADDING % STRIDE);
  let tile_at = tile_origin(id);
  if (tile_at.x >= grid_rows(grid)) { return; }
  let row = panel_origin(id).x;
  let pixels = pixel_rows(grid, row);
  var tile: Tile;
  var tap = first_tap_met(pixels, vec2u());
  var channel4 = 0u;
  while (tap.at.x < TAP_END) {
    tile_rank4(&tile, panel_a_pixels(tap.at_a, channel4), load_weights(tap.at, pixel, channel4));
    channel4++;
    if (channel4 == DY_CHANNELS4) {
      channel4 = 0u;
      tap = next_tap_met(pixels, vec2u(), tap.at);
    }
  }
  find_targets(grid, tile_at.x);
  find_channels(0u);
  tile_store(&tile, row, 0u);
}
