// Rows of a table in the order of an epoch: y[r, j] = table[order[step.batch_offset + r], j].
// table: any number of rows of stride STRIDE; y: ROWS x STRIDE, pads as in the table. order: u32. One invocation per vec4.
// Bindings: table, order, y, step (batch_offset). Launched by recordGatherRows (src/kernels/batch.ts).
#include "struct/step"

@group(0) @binding(0) var<storage, read> table: array<vec4f>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> step: Step;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let row = order[step.batch_offset + i / (STRIDE / 4u)];
  y[i] = table[row * (STRIDE / 4u) + i % (STRIDE / 4u)];
}
