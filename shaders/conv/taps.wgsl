// The sum of a convolution's product, tap after tap and in each channel after channel, as one loop. A loop carries the sums
// of a tile from turn to turn, and a nested loop would copy them twice (a fifth of the time on SwiftShader).
// The fewer variables such a loop has, the better.
// Needs conv/rows_*.wgsl, and from the including shader or conv/stride_classes.wgsl:
//   TAP_STEP: u32                                  step from one kernel row or column in use to the next
//   TAP_END: u32                                   their end: KERNEL
//   fn tap_move(tap: vec2u, first: vec2u) -> vec2i  the offset of a row's pixel of A at a tap

struct Tap {
  at: vec2u,  // kernel row and column; after the last tap, the row is at least TAP_END
  at_a: Addresses,
}

// The first tap, from kernel row and column `first` on, that meets a pixel for any row of the tile.
fn first_tap_met(rows: PixelRows, first: vec2u) -> Tap {
  return tap_met(rows, first, vec2u(select(first.x, TAP_END, first.y >= TAP_END), first.y));
}

fn next_tap_met(rows: PixelRows, first: vec2u, at: vec2u) -> Tap {
  return tap_met(rows, first, vec2u(at.x, at.y + TAP_STEP));
}

// Returns tap `start` or, with IMAGES_FIRST, the next tap that does not lie outside for all rows of the tile.
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
