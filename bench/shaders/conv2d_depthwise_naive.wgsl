// conv2d_depthwise_forward without bias and activation, as a direct sum: one invocation computes one pixel x 4 channels and
// loads every weight and every pixel for itself. Bindings: x (here a), weights, y (here c). Launched by
// buildNaiveDepthwise (bench/depthwise.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x + id.y * GRID_WIDTH;
  let channel4 = at % (STRIDE_C / 4u);
  let pixel = at / (STRIDE_C / 4u);
  let line = pixel / C_WIDTH;
  if (line >= IMAGES * C_HEIGHT) { return; }
  let y = line % C_HEIGHT * STRIDE_Y - PADDING_Y;
  let x = pixel % C_WIDTH * STRIDE_X - PADDING_X;
  var sum = vec4f();
  for (var ky = 0u; ky < KERNEL_Y; ky++) {
    for (var kx = 0u; kx < KERNEL_X; kx++) {
      if (y + ky < A_HEIGHT && x + kx < A_WIDTH) {
        let met = (line / C_HEIGHT * A_HEIGHT + y + ky) * A_WIDTH + x + kx;
        let w = 4u * channel4 * STRIDE_B + ky * KERNEL_X + kx;
        let taps = vec4f(weights[w], weights[w + STRIDE_B], weights[w + 2u * STRIDE_B], weights[w + 3u * STRIDE_B]);
        sum = fma(a[met * (STRIDE_A / 4u) + channel4], taps, sum);
      }
    }
  }
  c[at] = sum;
}
