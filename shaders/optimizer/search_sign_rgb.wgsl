// search_sign.wgsl for RGB: the random direction of a black-box query, +1 or -1 per channel and cell of CELL x CELL pixels.
// `value` counts the values of an image, three per pixel.
#include "common/hash.wgsl"

fn search_sign(direction: u32, row: u32, value: u32) -> f32 {
  let pixel = value / 3u;
  let cell = (pixel / WIDTH / CELL) * WIDTH + pixel % WIDTH / CELL;
  let random = pcg4d(vec4u(3u * cell + value % 3u, (row << 12u) | direction, step.iteration, step.draw));
  return select(-1.0, 1.0, (random.x >> 31u) == 1u);
}
