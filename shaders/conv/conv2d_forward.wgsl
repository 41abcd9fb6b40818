// y = act(conv(x, W) + bias), as an implicit product:
// y[n, oy, ox, oc] = act(sum over ky, kx, ic of x[n, oy STRIDE + ky - PADDING, ox STRIDE + kx - PADDING, ic]
//                    W[oc, ky, kx, ic] + bias[oc]), pixels outside the image being zero.
// x: NHWC, one pixel per row of STRIDE_A, with a row of zeros at ZERO_ROW. W: one row per output channel, column
// (ky KERNEL + kx) 4 CHANNELS4 + ic, stride STRIDE_B. y (here c): NHWC, N channels, stride STRIDE_C. Pad channels are
// zero, so channels run to the next multiple of 4.
// One invocation or a quad computes a register tile of pixels x output channels, without barriers.
// Measured on SwiftShader, batch 16, 32 x 32 x 32 -> 64 and 16 x 16 x 64 -> 128, 3 x 3 taps: 44 and 47 % of its FMA
// ceiling, where gemm_nt of 512^3 has 48 %.
// Bindings: x, weights, bias, c, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2d (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

fn load_a(i: u32) -> vec4f { return x[i]; }
fn load_b(i: u32) -> vec4f { return weights[i]; }
fn load_bias(i: u32) -> vec4f { return bias[i]; }

#include <tile>
#include <rows>
#include "conv/taps.wgsl"
#include "conv/epilogue.wgsl"

const TAP_STEP: u32 = 1u;
const TAP_END: u32 = KERNEL;
fn tap_move(tap: vec2u, first: vec2u) -> vec2i { return vec2i(tap); }

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let tile_at = tile_origin(id);
  let grid = Grid(0u, IMAGES, vec2u(C_HEIGHT, C_WIDTH), vec2i(-i32(PADDING)), vec2u());
  if (tile_at.x >= grid_rows(grid) || tile_at.y >= N) { return; }
  let row = panel_origin(id).x;
  let column = panel_origin(id).y;
  let pixels = pixel_rows(grid, row);
  var tile: Tile;
  var tap = first_tap_met(pixels, vec2u());
  var channel4 = 0u;
  while (tap.at.x < KERNEL) {
    let at_b = column * (STRIDE_B / 4u) + (tap.at.x * KERNEL + tap.at.y) * CHANNELS4 + channel4;
    tile_rank4(&tile, panel_a_pixels(tap.at_a, channel4), panel_b_rows(at_b, STRIDE_B / 4u));
    channel4++;
    if (channel4 == CHANNELS4) {
      channel4 = 0u;
      tap = next_tap_met(pixels, vec2u(), tap.at);
    }
  }
  find_targets(grid, tile_at.x);
  find_channels(column);
  tile_store(&tile, row, column);
}
