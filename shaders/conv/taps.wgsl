// The sum of a convolution's product, tap after tap and in each channel after channel, as one loop: a loop carries the sums
// of a tile from turn to turn, and a loop within a loop would hand them over twice (a fifth of the time on SwiftShader).
// The fewer variables such a loop has, the better.
// Needs conv/rows_*.wgsl, and of the including shader or conv/stride_classes.wgsl
//   TAP_STEP: u32                                  from one kernel row or column that counts to the next
//   TAP_END: u32                                   where they end: KERNEL
//   fn tap_move(tap: vec2u, first: vec2u) -> vec2i  what a tap moves a row's pixel of A by

struct Tap {
  at: vec2u,  // kernel row and column; the row is at least TAP_END behind the last tap
  at_a: Addresses,
}

// The first tap that meets a pixel of the tile, of those that begin with kernel row and column `first`.
fn first_tap_met(rows: PixelRows, first: vec2u) -> Tap {
  return tap_met(rows, first, vec2u(select(first.x, TAP_END, first.y >= TAP_END), first.y));
}

fn next_tap_met(rows: PixelRows, first: vec2u, at: vec2u) -> Tap {
  return tap_met(rows, first, vec2u(at.x, at.y + TAP_STEP));
}

// This tap or, where rows of a tile hang over an edge together (IMAGES_FIRST), the next one that meets a pixel.
fn tap_met(rows: PixelRows, first: vec2u, start: vec2u) -> Tap {
  let ends = start.y >= TAP_END;
  var at = select(start, vec2u(start.x + TAP_STEP, first.y), vec2<bool>(ends));
  var by = tap_move(at, first);
  var at_a = tap_addresses(rows, by.x, by.y);
  if (IMAGES_FIRST) {
    while (at.x < TAP_END && all_outside(at_a)) {
      at.y += TAP_STEP;
      if (at.y >= TAP_END) { at = vec2u(at.x + TAP_STEP, first.y); }
      by = tap_move(at, first);
      at_a = tap_addresses(rows, by.x, by.y);
    }
  }
  return Tap(at, at_a);
}
