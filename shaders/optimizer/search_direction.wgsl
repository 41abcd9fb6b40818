// A value of a random direction of a black-box attack, the same for all pixels of a cell of CELL x CELL in one of CHANNELS
// channels: a sign +-1 (simultaneous perturbation, Spall 1992) or, if GAUSSIAN, a standard normal number (NES, Wierstra et
// al. 2014). search_directions.wgsl perturbs images along it, and search_gradient.wgsl weights it by the answers. `value` counts
// the values of an image. step.draw is a key of the seed and the draw; there are fewer than 2^12 directions and 2^20 rows.
#include "common/hash.wgsl"
#include "common/normal.wgsl"

fn search_direction(direction: u32, row: u32, value: u32) -> f32 {
  let pixel = value / CHANNELS;
  let cell = (pixel / WIDTH / CELL) * WIDTH + pixel % WIDTH / CELL;
  let random = pcg4d(vec4u(CHANNELS * cell + value % CHANNELS, (row << 12u) | direction, step.iteration, step.draw));
  if (GAUSSIAN) { return standard_normals(random.xy).x; }
  return select(-1.0, 1.0, (random.x >> 31u) == 1u);
}
