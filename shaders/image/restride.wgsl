// y holds the elements of x in the same order, in rows of another length: element i of the stream of ROWS * COLUMNS
// elements lies in x at [i / X_COLUMNS, i % X_COLUMNS], in y at [i / COLUMNS, i % COLUMNS].
// x: rows of X_COLUMNS with stride X_STRIDE. y: [ROWS, COLUMNS], stride STRIDE, pads written zero. One invocation writes
// four elements of y. Elements are copied as u32, so that no bit changes. Bindings: x, y. Launched by recordRestride
// (src/kernels/restride.ts).
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;

#include "common/columns.wgsl"

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x + id.y * GRID_WIDTH;
  if (at >= ROWS * STRIDE / 4u) { return; }
  let row = at / (STRIDE / 4u);
  let column = (at % (STRIDE / 4u)) * 4u;
  let i = vec4u(row * COLUMNS + column) + vec4u(0u, 1u, 2u, 3u);
  let source_at = (i / X_COLUMNS) * X_STRIDE + i % X_COLUMNS;
  // Pad elements would read the next row, or beyond the last one.
  let inside = in_row(column);
  let keep = select(vec4u(), source_at, inside);
  y[at] = select(vec4u(), vec4u(x[keep.x], x[keep.y], x[keep.z], x[keep.w]), inside);
}
