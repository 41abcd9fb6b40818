// The sum of a convolution's product, tap after tap and in each channel after channel, as one loop: a loop carries the sums
// of a tile from turn to turn, and a loop within a loop would hand them over twice (a fifth of the time on SwiftShader).
// Needs KERNEL, conv/rows_*.wgsl, and of the including shader
//   TAP_STEP: u32  from one kernel row or column that counts to the next
//   TAP_MOVE: i32  what that moves a row's pixel of A by

struct Tap {
  y: u32,      // kernel row; at least KERNEL behind the last tap
  x: u32,
  move_y: i32,
  move_x: i32,
  at_a: Addresses,
}

// The first tap that meets a pixel of the tile, of those that begin with kernel row and column `first`.
fn first_tap_met(rows: PixelRows, first: vec2u) -> Tap {
  return tap_met(rows, first.y, Tap(select(first.x, KERNEL, first.y >= KERNEL), first.y, 0, 0, Addresses()));
}

fn next_tap_met(rows: PixelRows, first: vec2u, tap: Tap) -> Tap {
  return tap_met(rows, first.y, Tap(tap.y, tap.x + TAP_STEP, tap.move_y, tap.move_x + TAP_MOVE, tap.at_a));
}

// This tap or the next one that meets a pixel.
fn tap_met(rows: PixelRows, first_x: u32, start: Tap) -> Tap {
  var tap = start;
  loop {
    if (tap.x >= KERNEL) {
      tap.x = first_x;
      tap.move_x = 0;
      tap.y += TAP_STEP;
      tap.move_y += TAP_MOVE;
    }
    tap.at_a = tap_addresses(rows, tap.move_y, tap.move_x);
    if (tap.y >= KERNEL || !all_outside(tap.at_a)) { break; }
    tap.x += TAP_STEP;
    tap.move_x += TAP_MOVE;
  }
  return tap;
}
