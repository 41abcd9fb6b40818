// The loop of conv2d_direct_input_gradient and conv2d_direct_input_gradient_approximate: over the taps of a class and, in
// each, the channels of a group on the small side, four at a time with VECTORS.
// Needs open_weights(channel, group), weight_rows(row, column4), which returns columns 4 column4 .. 4 column4 + 3 of rows
// row .. row + 3 of W, and weight_each(rows, columns), which returns four weights.
#include "conv/direct.wgsl"

const TURNS: u32 = select(GROUP_OUT, (GROUP_OUT + 3u) / 4u, VECTORS);

fn convolve(id: vec3u) {
  let row = id.y * TILE_M;
  let column = id.x * TILE_N;
  let pixels = pixel_class(id.z % (STRIDE_Y * STRIDE_X));
  let image_group = id.z / (STRIDE_Y * STRIDE_X);
  if (row >= IMAGES * pixels.size.x * pixels.size.y || column >= N) { return; }
  open_weights(column, image_group);
  let channels = min(vec4u(column) + vec4u(0u, 1u, 2u, 3u), vec4u(N - 1u));
  let groups = channels / GROUP_IN;
  let first_rows = groups * GROUP_OUT;
  let columns = channels - groups * GROUP_IN;
  let rows = pixel_rows(pixels, image_group * IMAGES, row);
  var tile: Tile;
  var tap = vec2u();
  var turn = 0u;
  var at = tap_addresses(rows, tap);
  let end = select(pixels.taps.x, 0u, pixels.taps.y == 0u);
  while (tap.x < end) {
    let kernel_tap = pixels.first_tap + tap * TAP_STEP;
    let first_column = (kernel_tap.x * KERNEL_X + kernel_tap.y) * TAP_COLUMNS;
    if (VECTORS) {
      let channel = first_rows.x + 4u * turn;
      add_vectors(&tile, at, channel, weight_rows(channel, (first_column + columns.x) / 4u));
    } else {
      add_each(&tile, at, first_rows + turn, weight_each(first_rows + turn, first_column + columns));
    }
    turn++;
    if (turn == TURNS) {
      turn = 0u;
      let ends = tap.y + 1u == pixels.taps.y;
      tap = select(vec2u(tap.x, tap.y + 1u), vec2u(tap.x + 1u, 0u), ends);
      at = tap_addresses(rows, tap);
    }
  }
  stored = pixels;
  stored_image = image_group * IMAGES;
  find_channels(column);
  tile_store(&tile, row, column);
}
