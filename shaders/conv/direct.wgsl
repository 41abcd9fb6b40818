// The common part of conv2d_direct_*: convolutions of any shape. One invocation computes 16 pixels x 4 channels of C. The
// pixels are consecutive in one class (conv/windows.wgsl) of a group of IMAGES images from `first_image` on.
// VECTORS: the 4 channels lie in one group and the channels of a group in A are whole vec4 (or there is only one group), so
// that a product reads 4 channels of A at a time. Otherwise each of the 4 channels may have another group, and a product
// reads one channel of A for each.
// Needs GROUPS, GROUP_IN and GROUP_OUT (channels of a group on the large and the small side), TAP_COLUMNS (columns of W per
// tap), A_HEIGHT, A_WIDTH, STRIDE_A, ZERO_ROW, N, STRIDE_C, the arrays `a` and `c`, and what the included files need.
#include "gemm/tile_16x4.wgsl"
#include "conv/windows.wgsl"
#include "conv/epilogue.wgsl"

const OUTSIDE: i32 = -0x40000000;
// f32 index of the row of zeros.
const ZEROS: u32 = ZERO_ROW * STRIDE_A;

// Four pixels of C: the pixels of A that they meet at their first tap.
struct Pixels {
  at: vec4u,  // index over all images
  y: vec4i,   // OUTSIDE if there are no such pixels
  x: vec4i,
}

struct PixelRows {
  p0: Pixels, p1: Pixels, p2: Pixels, p3: Pixels,
}

// f32 indices in A of the first channel of 16 pixels.
struct Addresses {
  p0: vec4u, p1: vec4u, p2: vec4u, p3: vec4u,
}

fn four_pixels(pixels: PixelClass, first_image: u32, row: u32) -> Pixels {
  let rows = vec4u(row) + vec4u(0u, 1u, 2u, 3u);
  let count = pixels.size.x * pixels.size.y;
  let pixel = rows % count;
  let image = vec4i(rows / count + first_image);
  let y = vec4i(pixel / pixels.size.y * GRID_STEP.x) + pixels.origin.x;
  let x = vec4i(pixel % pixels.size.y * GRID_STEP.y) + pixels.origin.y;
  let at = (image * i32(A_HEIGHT) + y) * i32(A_WIDTH) + x;
  return Pixels(bitcast<vec4u>(at), select(y, vec4i(OUTSIDE), rows >= vec4u(IMAGES * count)), x);
}

fn pixel_rows(pixels: PixelClass, first_image: u32, row: u32) -> PixelRows {
  return PixelRows(
    four_pixels(pixels, first_image, row),
    four_pixels(pixels, first_image, row + 4u),
    four_pixels(pixels, first_image, row + 8u),
    four_pixels(pixels, first_image, row + 12u),
  );
}

fn four_addresses(p: Pixels, by: vec2i) -> vec4u {
  let inside = (bitcast<vec4u>(p.y + by.x) < vec4u(A_HEIGHT)) & (bitcast<vec4u>(p.x + by.y) < vec4u(A_WIDTH));
  return select(vec4u(ZEROS), (p.at + bitcast<u32>(by.x * i32(A_WIDTH) + by.y)) * STRIDE_A, inside);
}

// @param tap number of the tap of the class along each axis
fn tap_addresses(rows: PixelRows, tap: vec2u) -> Addresses {
  let by = vec2i(tap) * TAP_MOVE;
  return Addresses(
    four_addresses(rows.p0, by),
    four_addresses(rows.p1, by),
    four_addresses(rows.p2, by),
    four_addresses(rows.p3, by),
  );
}

// Four channels of four pixels, transposed: column kk holds the pixels at channel kk.
fn load_pixels(at: vec4u) -> mat4x4f {
  return transpose(mat4x4f(a[at.x >> 2u], a[at.y >> 2u], a[at.z >> 2u], a[at.w >> 2u]));
}

// C += (channels 4 k .. 4 k + 3 of A, k being a multiple of 4 from `channel` on) W.
fn add_vectors(tile: ptr<function, Tile>, at: Addresses, channel: u32, w: mat4x4f) {
  let rows = PanelA(
    load_pixels(at.p0 + channel),
    load_pixels(at.p1 + channel),
    load_pixels(at.p2 + channel),
    load_pixels(at.p3 + channel),
  );
  tile_rank4(tile, rows, PanelB(w));
}

fn load_each(at: vec4u) -> vec4f {
  return vec4f(a[at.x >> 2u][at.x & 3u], a[at.y >> 2u][at.y & 3u], a[at.z >> 2u][at.z & 3u], a[at.w >> 2u][at.w & 3u]);
}

fn fma_each(at: vec4u, channels: vec4u, w: vec4f, sums: mat4x4f) -> mat4x4f {
  return mat4x4f(
    fma(load_each(at.x + channels), w, sums[0]),
    fma(load_each(at.y + channels), w, sums[1]),
    fma(load_each(at.z + channels), w, sums[2]),
    fma(load_each(at.w + channels), w, sums[3]),
  );
}

// C += (one channel of A for each of the 4 channels of C) w.
fn add_each(tile: ptr<function, Tile>, at: Addresses, channels: vec4u, w: vec4f) {
  (*tile).c00 = fma_each(at.p0, channels, w, (*tile).c00);
  (*tile).c10 = fma_each(at.p1, channels, w, (*tile).c10);
  (*tile).c20 = fma_each(at.p2, channels, w, (*tile).c20);
  (*tile).c30 = fma_each(at.p3, channels, w, (*tile).c30);
}

// The class and the first image of the pixels to store.
var<private> stored: PixelClass;
var<private> stored_image: u32;

// Stores four channels of one pixel, with zeros in pads.
fn store_row(row: u32, column: u32, value: vec4f) {
  let count = stored.size.x * stored.size.y;
  if (row >= IMAGES * count || column >= STRIDE_C) { return; }
  let pixel = row % count;
  let at = pixel_of_c(stored, stored_image + row / count, vec2u(pixel / stored.size.y, pixel % stored.size.y));
  let columns = vec4u(column) + vec4u(0u, 1u, 2u, 3u);
  c[at * (STRIDE_C / 4u) + (column >> 2u)] = select(vec4f(), epilogue(value, column >> 2u), columns < vec4u(N));
}

fn store_block(row: u32, column: u32, block: mat4x4f) {
  store_row(row, column, block[0]);
  store_row(row + 1u, column, block[1]);
  store_row(row + 2u, column, block[2]);
  store_row(row + 3u, column, block[3]);
}
