// dx = act(convT(dy, W) + bias): the gradient of conv2d_forward with respect to x, and the forward pass of a
// transposed convolution, which has the bias and the activation:
// dx[n, iy, ix, ic] = act(sum over ky, kx, oc with iy + PADDING - ky = oy STRIDE and ix + PADDING - kx = ox STRIDE of
//                     dy[n, oy, ox, oc] W[oc, ky, kx, ic] + bias[ic]).
// dy: NHWC, one pixel per row of STRIDE_A, with a row of zeros at ZERO_ROW; 4 DY_CHANNELS4 channels with the pads. W
// as in conv2d_forward.wgsl, 4 CHANNELS4 columns per tap; rows up to the next multiple of 4 are read. dx (here c):
// NHWC, N channels, stride STRIDE_C. One invocation computes a register tile of pixels of one class
// (conv/stride_classes.wgsl) x channels, without barriers; workgroup z is the class.
// Measured on SwiftShader, batch 16, 32 x 32 x 32 -> 64 and 16 x 16 x 64 -> 128, 3 x 3 taps: 46 and 48 % of its FMA
// ceiling, where gemm_nn of 512^3 has 48 %. From a vector to 4 x 4 pixels, IMAGES_FIRST is 10 times faster.
// Bindings: dy, weights, bias, c, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2dInputGradient (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> dy: array<vec4f>;
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

fn load_a(i: u32) -> vec4f { return dy[i]; }
fn load_b(i: u32) -> vec4f { return weights[i]; }
fn load_bias(i: u32) -> vec4f { return bias[i]; }

#include <tile>
#include <rows>
#include "conv/taps.wgsl"
#include "conv/epilogue.wgsl"
#include "conv/stride_classes.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let tile_at = tile_origin(id);
  let first = first_tap(id.z);
  let grid = stride_class_grid(first, 0u, IMAGES);
  if (tile_at.x >= grid_rows(grid) || tile_at.y >= N) { return; }
  let row = panel_origin(id).x;
  let column = panel_origin(id).y;
  let pixels = pixel_rows(grid, row);
  var tile: Tile;
  var tap = first_tap_met(pixels, first);
  var channel4 = 0u;
  while (tap.at.x < KERNEL) {
    let at_b = (tap.at.x * KERNEL + tap.at.y) * CHANNELS4 + (column >> 2u) + channel4 * STRIDE_B;
    tile_rank4(&tile, panel_a_pixels(tap.at_a, channel4), panel_b_columns(at_b, STRIDE_B / 4u));
    channel4++;
    if (channel4 == DY_CHANNELS4) {
      channel4 = 0u;
      tap = next_tap_met(pixels, first, tap.at);
    }
  }
  find_targets(grid, tile_at.x);
  find_channels(column);
  tile_store(&tile, row, column);
}
