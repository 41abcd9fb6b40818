// conv2d_input_gradient with W, and the bias of a transposed convolution, fetched from approximate memory inside the
// product (the fused path). The weights have the same bits as those of materialise followed by conv2d_input_gradient.
// dy, W and dx are as there, but W consists of codes: a row of W is STRIDE_B / 16 blocks of 16 codes. A tile has pixels of
// one class (conv/stride_classes.wgsl) and of one group of IMAGES images, see conv2d_forward_approximate.wgsl; workgroup z
// runs over groups and, in each, over classes. One invocation computes TILE_M pixels x TILE_N <= 16 channels. A row of W
// under the tile is one block where 4 CHANNELS4 is a multiple of 16; otherwise it may span two.
// Bindings: dy, codes, fault_table, c, step, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2dInputGradient (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> dy: array<vec4f>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> step: Step;

#include "struct/step"
#include "common/fetch_approximate.wgsl"

// The block of the bias that holds the tile's columns, fetched once per tile.
var<private> bias: mat4x4f;

fn load_a(i: u32) -> vec4f { return dy[i]; }
fn load_b(i: u32) -> vec4f { return vec4f(); }  // unused: B is read in blocks
fn load_bias(column4: u32) -> vec4f { return bias[column4 % 4u]; }

#include <tile>
#include <rows>
#include "conv/taps.wgsl"
#include "conv/epilogue.wgsl"
#include "conv/stride_classes.wgsl"

// Fetches 16 columns of a row of W, from column 4 column4 on; only the first 4 count of them are used.
fn fetch_columns(weights: Read, row: u32, column4: u32, count: u32) -> mat4x4f {
  let block = row * (STRIDE_B / 16u) + column4 / 4u;
  if (CHANNELS4 % 4u == 0u) { return fetch_block(weights, block, row); }
  // A loop, because the fetch takes long to compile.
  var w: array<vec4f, 8>;
  let shift = column4 % 4u;
  for (var i = 0u; 4u * i < shift + count; i++) {
    let fetched = fetch_block(weights, block + i, row);
    w[4u * i] = fetched[0];
    w[4u * i + 1u] = fetched[1];
    w[4u * i + 2u] = fetched[2];
    w[4u * i + 3u] = fetched[3];
  }
  return mat4x4f(w[shift], w[shift + 1u], w[shift + 2u], w[shift + 3u]);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y * TILE_M;
  let column = id.x * TILE_N;
  let first = first_tap(id.z % (STRIDE * STRIDE));
  let group = id.z / (STRIDE * STRIDE);
  let grid = stride_class_grid(first, group * IMAGES, IMAGES);
  if (row >= grid_rows(grid) || column >= N) { return; }
  let image = select(0u, step.first_image + group, PER_IMAGE);
  let weights = begin_read(WEIGHT_MAP, WEIGHT_ORIGIN, image);
  if (BIAS) { bias = fetch_block(begin_read(BIAS_MAP, BIAS_ORIGIN, image), column / 16u, 0u); }
  let count = min(TILE_N / 4u, CHANNELS4 - column / 4u);
  let pixels = pixel_rows(grid, row);
  var tile: Tile;
  var tap = first_tap_met(pixels, first);
  var channel4 = 0u;
  while (tap.at.x < KERNEL) {
    let column4 = (tap.at.x * KERNEL + tap.at.y) * CHANNELS4 + column / 4u;
    let rows = panel_a_pixels(tap.at_a, channel4);
    for (var kk = 0u; kk < 4u; kk++) {
      tile_rank1_block(&tile, rows, kk, fetch_columns(weights, 4u * channel4 + kk, column4, count));
    }
    channel4++;
    if (channel4 == DY_CHANNELS4) {
      channel4 = 0u;
      tap = next_tap_met(pixels, first, tap.at);
    }
  }
  find_targets(grid, row);
  find_channels(column);
  tile_store(&tile, row, column);
}
