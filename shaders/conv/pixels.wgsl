// The rows of a convolution's product are the pixels of a grid of images. This file computes the pixels of the gathered
// operand A that a row multiplies, and its pixel of the result C:
// at tap (dy, dx), grid pixel (y, x) meets pixel (y, x) GRID_STEP + origin + (dy, dx) of A, or A's row of zeros
// if that lies outside the image; its sum goes to pixel (y, x) TARGET_STEP + first of C.
// Rows run over the grid in order image, y, x, or with IMAGES_FIRST in order y, x, image: then the rows of a tile
// are the same pixel of several images, so that a tap lies outside for all of them and the tile skips it.
// Divisions are done once per tile, for its first row; a tap costs two comparisons and an addition per row, its channels
// nothing. Needs A_HEIGHT, A_WIDTH, C_HEIGHT and C_WIDTH (pixels), STRIDE_A, ZERO_ROW (Matrix.zeroRow),
// GRID_STEP, TARGET_STEP, IMAGES_FIRST, N, STRIDE_C, TILE_M, load_a, epilogue and the array c.

struct Grid {
  first_image: u32,
  images: u32,
  size: vec2u,    // y, x, as in all fields below
  origin: vec2i,
  first: vec2u,
}

// One row of the product.
struct Cursor {
  row: u32,
  image: u32,  // relative to the grid's first image
  y: u32,
  x: u32,
}

// Four rows at tap (0, 0): vec4 indices of their pixels of A, which may lie outside, and the coordinates of these pixels.
struct Pixels {
  at: vec4u,
  y: vec4i,
  x: vec4i,
}

fn grid_rows(grid: Grid) -> u32 {
  return grid.images * grid.size.x * grid.size.y;
}

fn grid_cursor(grid: Grid, row: u32) -> Cursor {
  if (IMAGES_FIRST) {
    let pixel = row / grid.images;
    return Cursor(row, row % grid.images, pixel / grid.size.y, pixel % grid.size.y);
  }
  let line = row / grid.size.y;
  return Cursor(row, line / grid.size.x, line % grid.size.x, row % grid.size.y);
}

fn next_cursor(grid: Grid, c: Cursor) -> Cursor {
  if (IMAGES_FIRST) {
    let pixel_ends = c.image + 1u == grid.images;
    let x = c.x + select(0u, 1u, pixel_ends);
    let line_ends = x == grid.size.y;
    let y = c.y + select(0u, 1u, line_ends);
    return Cursor(c.row + 1u, select(c.image + 1u, 0u, pixel_ends), y, select(x, 0u, line_ends));
  }
  let line_ends = c.x + 1u == grid.size.y;
  let y = c.y + select(0u, 1u, line_ends);
  let image_ends = y == grid.size.x;
  let image = c.image + select(0u, 1u, image_ends);
  return Cursor(c.row + 1u, image, select(y, 0u, image_ends), select(c.x + 1u, 0u, line_ends));
}

// Returns the four rows from the cursor on and moves the cursor past them. Rows after the last lie outside at every tap.
fn next_pixels(grid: Grid, cursor: ptr<function, Cursor>) -> Pixels {
  let c0 = *cursor;
  let c1 = next_cursor(grid, c0);
  let c2 = next_cursor(grid, c1);
  let c3 = next_cursor(grid, c2);
  *cursor = next_cursor(grid, c3);
  let image = vec4i(vec4u(c0.image, c1.image, c2.image, c3.image) + grid.first_image);
  let y = vec4i(vec4u(c0.y, c1.y, c2.y, c3.y) * GRID_STEP) + grid.origin.x;
  let x = vec4i(vec4u(c0.x, c1.x, c2.x, c3.x) * GRID_STEP) + grid.origin.y;
  let pixel = (image * i32(A_HEIGHT) + y) * i32(A_WIDTH) + x;
  let missing = vec4u(c0.row) + vec4u(0u, 1u, 2u, 3u) >= vec4u(grid_rows(grid));
  return Pixels(bitcast<vec4u>(pixel) * (STRIDE_A / 4u), select(y, vec4i(-0x40000000), missing), x);
}

const ZEROS: u32 = ZERO_ROW * (STRIDE_A / 4u);

// vec4 indices of the first channels of four rows' pixels at tap (dy, dx).
fn pixel_addresses(p: Pixels, dy: i32, dx: i32) -> vec4u {
  let inside = (bitcast<vec4u>(p.y + dy) < vec4u(A_HEIGHT)) & (bitcast<vec4u>(p.x + dx) < vec4u(A_WIDTH));
  return select(vec4u(ZEROS), p.at + bitcast<u32>(dy * i32(A_WIDTH) + dx) * (STRIDE_A / 4u), inside);
}

fn outside(at: vec4u) -> bool {
  return all(at == vec4u(ZEROS));
}

// Four channels of four rows, transposed: column kk holds the rows at channel kk.
fn load_pixels(at: vec4u) -> mat4x4f {
  return transpose(mat4x4f(load_a(at.x), load_a(at.y), load_a(at.z), load_a(at.w)));
}

const NOWHERE: u32 = 0xffffffffu;
// The pixel of C of each row of the tile.
var<private> targets: array<u32, TILE_M>;

// Must be called before the tile is stored. @param row the tile's first row
fn find_targets(grid: Grid, row: u32) {
  var cursor = grid_cursor(grid, row);
  for (var i = 0u; i < TILE_M; i++) {
    let y = cursor.y * TARGET_STEP + grid.first.x;
    let x = cursor.x * TARGET_STEP + grid.first.y;
    let pixel = ((grid.first_image + cursor.image) * C_HEIGHT + y) * C_WIDTH + x;
    targets[i] = select(pixel, NOWHERE, cursor.row >= grid_rows(grid) || y >= C_HEIGHT || x >= C_WIDTH);
    cursor = next_cursor(grid, cursor);
  }
}

// Stores four channels of one row, with zeros in pads. A tile starts on a row that is a multiple of TILE_M.
fn store_row(row: u32, column: u32, value: vec4f) {
  let pixel = targets[row & (TILE_M - 1u)];
  if (pixel == NOWHERE || column >= STRIDE_C) { return; }
  let columns = vec4u(column) + vec4u(0u, 1u, 2u, 3u);
  c[pixel * (STRIDE_C / 4u) + (column >> 2u)] = select(vec4f(), epilogue(value, column >> 2u), columns < vec4u(N));
}

fn store_block(row: u32, column: u32, block: mat4x4f) {
  store_row(row, column, block[0]);
  store_row(row + 1u, column, block[1]);
  store_row(row + 2u, column, block[2]);
  store_row(row + 3u, column, block[3]);
}
