// The loop of conv2d_direct_forward and conv2d_direct_forward_approximate: over the columns of four rows of W, 16 at a time.
// Needs open_weights(image), open_block(row, block) and weight_quad(row, quad), the weights in columns 4 quad .. 4 quad + 3
// of rows row .. row + 3, where column j of the matrix is column 4 quad + j of W.
#include "conv/direct.wgsl"

const QUADS: u32 = (KERNEL_Y * KERNEL_X * TAP_COLUMNS + 3u) / 4u;

// The place in a row of W: a tap, and a channel of the group.
struct Cursor {
  tap: vec2u,
  channel: u32,
  at: Addresses,
}

fn next_tap(rows: PixelRows, tap: vec2u) -> Cursor {
  let ends = tap.y + 1u == KERNEL_X;
  let next = select(vec2u(tap.x, tap.y + 1u), vec2u(tap.x + 1u, 0u), ends);
  return Cursor(next, 0u, tap_addresses(rows, next));
}

// @param channels the first channel of A of each channel's group
fn add_column(tile: ptr<function, Tile>, cursor: ptr<function, Cursor>, rows: PixelRows, channels: vec4u, w: vec4f) {
  let at = *cursor;
  // Pad columns, which may have faults, and those after the last tap are skipped.
  if (at.channel < GROUP_IN && at.tap.x < KERNEL_Y) { add_each(tile, at.at, channels + at.channel, w); }
  (*cursor).channel++;
  if (at.channel + 1u == TAP_COLUMNS) { *cursor = next_tap(rows, at.tap); }
}

fn convolve(id: vec3u) {
  let row = id.y * TILE_M;
  let column = id.x * TILE_N;
  let first_image = id.z * IMAGES;
  let pixels = pixel_class(0u);
  if (row >= IMAGES * C_HEIGHT * C_WIDTH || column >= N) { return; }
  open_weights(column, id.z);
  let groups = min((vec4u(column) + vec4u(0u, 1u, 2u, 3u)) / GROUP_OUT, vec4u(GROUPS - 1u));
  let channels = groups * GROUP_IN;
  let rows = pixel_rows(pixels, first_image, row);
  var tile: Tile;
  var cursor = Cursor(vec2u(), 0u, tap_addresses(rows, vec2u()));
  for (var block = 0u; 4u * block < QUADS; block++) {
    open_block(column, block);
    for (var quad = 4u * block; quad < min(4u * block + 4u, QUADS); quad++) {
      let w = weight_quad(column, quad);
      if (VECTORS) {
        add_vectors(&tile, cursor.at, channels.x + cursor.channel, w);
        cursor.channel += 4u;
        if (cursor.channel == TAP_COLUMNS) { cursor = next_tap(rows, cursor.tap); }
      } else {
        // A loop, because the column takes long to compile.
        for (var j = 0u; j < 4u; j++) { add_column(&tile, &cursor, rows, channels, w[j]); }
      }
    }
  }
  stored = pixels;
  stored_image = first_image;
  find_channels(column);
  tile_store(&tile, row, column);
}
