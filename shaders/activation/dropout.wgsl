// y[r, j] = x[r, j] * keep / (1 - p): dropout while training. keep is 1 where word j % 4 of
// pcg4d(r * ceil(COLUMNS / 4) + j / 4, step.iteration, KEY_LOW, KEY_HIGH) is at least THRESHOLD = p 2^32, else 0; SCALE is
// 1 / (1 - p). The key is the logical element, so padding changes nothing, and the same dispatch applied to dy is the
// backward pass. KEY_LOW and KEY_HIGH are a hash of seed and tensor.
// x, y: ROWS x COLUMNS, stride STRIDE; pads of x are zero, so those of y are. One invocation per vec4.
// Bindings: x, y, step (iteration). Launched by recordDropout (src/kernels/dropout.ts). Reference:
// src/reference/dropout.ts.
#include "struct/step"
#include "common/hash.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> step: Step;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let quad = i / (STRIDE / 4u) * ((COLUMNS + 3u) / 4u) + i % (STRIDE / 4u);
  let words = pcg4d(vec4u(quad, step.iteration, KEY_LOW, KEY_HIGH));
  // A product, not a choice: a NaN must not vanish because it was dropped.
  y[i] = x[i] * select(vec4f(), vec4f(SCALE), words >= vec4u(THRESHOLD));
}
