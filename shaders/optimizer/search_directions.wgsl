// Query images of a black-box attack on both sides of an image along random directions:
//   queries[(2 d) ROWS + r] = x[r] + radii[r] u,  queries[(2 d + 1) ROWS + r] = x[r] - radii[r] u
// with u = direction(iteration, d, r, value) of search_direction.wgsl. x: ROWS x COLUMNS, queries: 2 DIRECTIONS ROWS x COLUMNS,
// stride STRIDE, zero pads. One invocation per query value. Bindings: x, radii, queries, step.
// Launched by recordSearchDirections (src/kernels/mi_face.ts).
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> radii: array<f32>;
@group(0) @binding(2) var<storage, read_write> queries: array<f32>;
@group(0) @binding(3) var<uniform> step: Step;

#include "struct/step"
#include "optimizer/search_direction.wgsl"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= 2u * DIRECTIONS * ROWS * STRIDE) { return; }
  let pixel = i % STRIDE;
  let query = i / STRIDE;
  let row = query % ROWS;
  let direction = query / ROWS / 2u;
  let side = select(1.0, -1.0, (query / ROWS) % 2u == 1u);
  let value = x[row * STRIDE + pixel] + side * radii[row] * search_direction(direction, row, pixel);
  queries[i] = select(0.0, value, pixel < COLUMNS);
}
