// The 32 rows of a tile of a convolution that a quad computes, eight per invocation, in groups of four. Included as <rows>
// beside such a <tile>.
#include "conv/rows_quad.wgsl"

struct PixelRows {
  p0: Pixels, p1: Pixels,
}

struct Addresses {
  p0: vec4u, p1: vec4u,
}

fn pixel_rows(grid: Grid, row: u32) -> PixelRows {
  var cursor = grid_cursor(grid, row);
  let p0 = next_pixels(grid, &cursor);
  return PixelRows(p0, next_pixels(grid, &cursor));
}

fn tap_addresses(rows: PixelRows, dy: i32, dx: i32) -> Addresses {
  return Addresses(pixel_addresses(rows.p0, dy, dx), pixel_addresses(rows.p1, dy, dx));
}

// True if the tap lies outside for all rows of the quad.
fn all_outside(at: Addresses) -> bool { return all_of_quad(outside(at.p0) && outside(at.p1)); }

// Channels 4 channel4 .. 4 channel4 + 3 of the invocation's rows.
fn panel_a_pixels(at: Addresses, channel4: u32) -> PanelA {
  return PanelA(load_pixels(at.p0 + channel4), load_pixels(at.p1 + channel4));
}
