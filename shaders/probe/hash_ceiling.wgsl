// Measures how many draws an adapter can make when it does nothing else: the ceiling of all random kernels. A draw is one
// call of pcg4d, which returns four u32. Draws are independent, as in a fault map, where a block's draw is keyed by the
// block:
//   out[i] = XOR over d in 0 .. 4 ITERATIONS - 1 of pcg4d(i, d, 0, 0)
// out: one vec4u per invocation. Bindings: out. Launched by recordHashCeiling (src/kernels/probe.ts).
// Reference: src/verify/kernels/probe.ts.
#include "common/hash.wgsl"

@group(0) @binding(0) var<storage, read_write> out: array<vec4u>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var all = vec4u();
  for (var d = 0u; d < 4u * ITERATIONS; d += 4u) {
    all ^= pcg4d(vec4u(id.x, d, 0u, 0u)) ^ pcg4d(vec4u(id.x, d + 1u, 0u, 0u))
      ^ pcg4d(vec4u(id.x, d + 2u, 0u, 0u)) ^ pcg4d(vec4u(id.x, d + 3u, 0u, 0u));
  }
  out[id.x] = all;
}
