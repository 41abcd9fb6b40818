// The gradient that a black-box attacker estimates from the costs of its queries:
//   g[r] = 1 / DIRECTIONS sum_d (cost[+d, r] - cost[-d, r]) / (2 SIGMA) u(d, r)
// results: 2 DIRECTIONS ROWS x (cost, confidence), in the order of search_directions.wgsl. gradient: ROWS x COLUMNS,
// stride STRIDE, zero pads. One invocation per pixel. Bindings: results, gradient, step.
// Launched by recordSearchGradient (src/kernels/mi_face.ts).
@group(0) @binding(0) var<storage, read> results: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(2) var<uniform> step: Step;

#include "struct/step"
#include <sign>

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * STRIDE) { return; }
  let row = i / STRIDE;
  let pixel = i % STRIDE;
  var sum = 0.0;
  for (var d = 0u; d < DIRECTIONS; d++) {
    let difference = results[2u * d * ROWS + row].x - results[(2u * d + 1u) * ROWS + row].x;
    sum += difference * search_sign(d, row, pixel);
  }
  gradient[i] = select(0.0, sum / (2.0 * SIGMA * f32(DIRECTIONS)), pixel < COLUMNS);
}
