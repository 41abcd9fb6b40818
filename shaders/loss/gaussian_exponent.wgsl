// The negative exponent of the Gaussian kernel of images i and j: SCALE times their squared distance, which `d` holds in the
// partial sums of pair_distances.wgsl.
fn negative_exponent(i: u32, j: u32) -> f32 {
  var distance = 0.0;
  for (var chunk = 0u; chunk < CHUNKS; chunk++) { distance += d[(chunk * IMAGES + i) * STRIDE + j]; }
  return distance * SCALE;
}
