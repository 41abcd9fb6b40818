// The Gaussian kernel exp(-D SCALE) of images i and j, where D is their squared distance in the partial sums `d` of
// pair_distances.wgsl.
fn gaussian_kernel(i: u32, j: u32) -> f32 {
  var distance = 0.0;
  for (var chunk = 0u; chunk < CHUNKS; chunk++) { distance += d[(chunk * IMAGES + i) * STRIDE + j]; }
  return exp(-distance * SCALE);
}
