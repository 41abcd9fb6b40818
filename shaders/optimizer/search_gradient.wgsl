// The gradient that a black-box attacker estimates from the answers to its queries:
//   g[r] = 1 / DIRECTIONS sum_d (answer[+d, r] - answer[-d, r]) / (2 SIGMA) u(d, r)
// results: 2 DIRECTIONS ROWS x 2 answers, in the order of search_directions.wgsl, of which ANSWER is used. gradient:
// ROWS x COLUMNS, stride STRIDE, zero pads. One invocation per value. Bindings: results, gradient, step.
// Launched by recordSearchGradient (src/kernels/mi_face.ts).
@group(0) @binding(0) var<storage, read> results: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(2) var<uniform> step: Step;

#include "struct/step"
#include "optimizer/search_direction.wgsl"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * STRIDE) { return; }
  let row = i / STRIDE;
  let pixel = i % STRIDE;
  var sum = 0.0;
  for (var d = 0u; d < DIRECTIONS; d++) {
    let difference = results[2u * d * ROWS + row][ANSWER] - results[(2u * d + 1u) * ROWS + row][ANSWER];
    sum += difference * search_direction(d, row, pixel);
  }
  gradient[i] = select(0.0, sum / (2.0 * SIGMA * f32(DIRECTIONS)), pixel < COLUMNS);
}
