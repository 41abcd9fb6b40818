// conv2d_forward with W and bias fetched from approximate memory inside the product (the fused path): the decoded weights
// exist only in registers; the faults of each block of 16 codes are drawn, and the block is decoded, once per tile of 16
// pixels. The weights have the same bits as those of materialise followed by conv2d_forward.
// x, W and y are as in conv2d_forward.wgsl, but W consists of codes: a row of W is STRIDE_B / 16 blocks, and a block may
// span several taps. A tile has pixels of one group of IMAGES images; workgroup z is the group. A group has all images or,
// with PER_IMAGE (granularity `inference`), one image; its number, step.first_image + z, is part of the random key with
// which its faults are drawn.
// One invocation computes 16 pixels x 4 output channels; it reads four blocks at a time: 16 values of k for each of the 4
// channels.
// Pad weights in which faults flipped bits are harmless, because x is zero there; columns after the last tap are skipped.
// Bindings: x, codes, fault_table, c, step, and with NORMALISE those of conv/normalisation.wgsl. Launched by
// recordConv2d (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> step: Step;

#include "struct/step"
#include "common/fetch_approximate.wgsl"

// The bias is fetched once per tile, which has four columns.
var<private> bias: vec4f;

fn load_a(i: u32) -> vec4f { return x[i]; }
fn load_b(i: u32) -> vec4f { return vec4f(); }  // unused: B is read in blocks
fn load_bias(column4: u32) -> vec4f { return bias; }

#include "gemm/tile_16x4.wgsl"
#include "conv/rows_16.wgsl"
#include "conv/epilogue.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y * TILE_M;
  let column = id.x * TILE_N;
  let grid = Grid(id.z * IMAGES, IMAGES, vec2u(C_HEIGHT, C_WIDTH), vec2i(-i32(PADDING)), vec2u());
  if (row >= grid_rows(grid) || column >= N) { return; }
  let image = select(0u, step.first_image + id.z, PER_IMAGE);
  let weights = begin_read(WEIGHT_MAP, WEIGHT_ORIGIN, image);
  if (BIAS) { bias = fetch_block(begin_read(BIAS_MAP, BIAS_ORIGIN, image), column / 16u, 0u)[(column / 4u) % 4u]; }
  let pixels = pixel_rows(grid, row);
  var tile: Tile;
  var w: array<vec4f, 16>;  // each vec4f holds four values of k of one column; index [k / 4][column]
  var ky = 0u;
  var kx = 0u;
  var channel4 = 0u;
  var at_a = tap_addresses(pixels, 0, 0);
  var left = KERNEL * KERNEL * CHANNELS4;
  for (var block = column * (STRIDE_B / 16u); left > 0u; block++) {
    // Not unrolled, because the fetch takes long to compile.
    for (var i = 0u; i < TILE_N; i++) {
      let fetched = fetch_block(weights, block + i * (STRIDE_B / 16u), column + i);
      w[i] = fetched[0];
      w[TILE_N + i] = fetched[1];
      w[2u * TILE_N + i] = fetched[2];
      w[3u * TILE_N + i] = fetched[3];
    }
    let quads = min(left, 4u);
    left -= quads;
    for (var q = 0u; q < quads; q++) {
      if (channel4 == CHANNELS4) {
        channel4 = 0u;
        kx++;
        if (kx == KERNEL) {
          kx = 0u;
          ky++;
        }
        at_a = tap_addresses(pixels, i32(ky), i32(kx));
      }
      let columns = transpose(mat4x4f(w[4u * q], w[4u * q + 1u], w[4u * q + 2u], w[4u * q + 3u]));
      tile_rank4(&tile, panel_a_pixels(at_a, channel4), PanelB(columns));
      channel4++;
    }
  }
  find_targets(grid, row);
  find_channels(column);
  tile_store(&tile, row, column);
}
