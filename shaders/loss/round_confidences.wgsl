// The confidences p = softmax(x) of a model that rounds them to multiples of 1 / LEVELS (the countermeasure of Fredrikson
// et al., CCS 2015, section 6), as logarithms, so that a reader of logits can read them: y_j = log max(round(p_j LEVELS) /
// LEVELS, 0.5 / LEVELS). A confidence that rounds to 0 counts as half a level, the largest value that rounds to 0, because
// an attacker knows no more. softmax(y) is the rounded confidences divided by their sum, which rounding may have moved away
// from 1.
// x, y: ROWS x COLUMNS, stride STRIDE; pads of y are written zero. One invocation per row.
// Bindings: x, y. Launched by recordRoundConfidences (src/kernels/release.ts). Reference: src/reference/release.ts.
#include "loss/row_softmax.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let levels = f32(LEVELS);
  let largest = row_max(row);
  let sum = row_exp_sum(row, largest);
  for (var i = 0u; i < STRIDE / 4u; i++) {
    let rounded = round(row_exp(row, i, largest) / sum * levels) / levels;
    y[row * (STRIDE / 4u) + i] = select(vec4f(), log(max(rounded, vec4f(0.5 / levels))), in_row(i * 4u));
  }
}
