// Adds the gradient of sum_ij w[i, j] with respect to the hidden values: dz[i, e] -= FACTOR sum_j w[i, j] (z[i, e] - z[j, e]),
// where w = g exp(-D SCALE) (dependence_weights.wgsl), g is constant and symmetric, and FACTOR = 4 SCALE. The sum runs from
// the first image to the last.
// z, dz: IMAGES x LENGTH vec4s; pads of z are zero, so those of dz stay. w: IMAGES x IMAGES, symmetric, stride STRIDE; pads do not matter.
// One invocation per vec4 of four images. Bindings: z, w, dz. Launched by recordDependenceGradient (src/kernels/dependence.ts).
@group(0) @binding(0) var<storage, read> z: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dz: array<vec4f>;

fn place(image: u32, e: u32) -> u32 {
  return min(image, IMAGES - 1u) * LENGTH + e;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let index = id.x + id.y * GRID_WIDTH;
  if (index >= (IMAGES + 3u) / 4u * LENGTH) { return; }
  let image = index / LENGTH * 4u;
  let e = index % LENGTH;
  let own = mat4x4f(z[place(image, e)], z[place(image + 1u, e)], z[place(image + 2u, e)], z[place(image + 3u, e)]);
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  for (var j = 0u; j < IMAGES; j++) {
    let other = z[j * LENGTH + e];
    let weights = w[(j * STRIDE + image) / 4u];
    sum0 += weights.x * (own[0] - other);
    sum1 += weights.y * (own[1] - other);
    sum2 += weights.z * (own[2] - other);
    sum3 += weights.w * (own[3] - other);
  }
  dz[place(image, e)] -= FACTOR * sum0;
  if (image + 1u < IMAGES) { dz[place(image + 1u, e)] -= FACTOR * sum1; }
  if (image + 2u < IMAGES) { dz[place(image + 2u, e)] -= FACTOR * sum2; }
  if (image + 3u < IMAGES) { dz[place(image + 3u, e)] -= FACTOR * sum3; }
}
