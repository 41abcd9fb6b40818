// The random direction of a black-box query, +1 or -1 per cell of CELL x CELL pixels. search_directions.wgsl perturbs
// images along it, and search_gradient.wgsl weights it by the costs. step.draw is a key of the seed and the draw; there are
// fewer than 2^12 directions and 2^20 rows.
#include "common/hash.wgsl"

fn search_sign(direction: u32, row: u32, pixel: u32) -> f32 {
  let cell = (pixel / WIDTH / CELL) * WIDTH + pixel % WIDTH / CELL;
  let random = pcg4d(vec4u(cell, (row << 12u) | direction, step.iteration, step.draw));
  return select(-1.0, 1.0, (random.x >> 31u) == 1u);
}
