// The confidences p = softmax(x) of a model that adds normal noise before it releases them, negative ones set to 0, divided by
// their sum S, as logarithms: y_j = log(max(p_j + DEVIATION z_j, DEVIATION / 2) / S). An attacker who knows DEVIATION takes smaller
// values for half of it, because they say no more than that. S is at least DEVIATION / 2.
// The noise is a function of the query: its key is the hash of the bits of row r of `inputs`, of the number of the draw of the
// memory, and of STREAM. The same query gets the same noise however often it is repeated, also after the weights are loaded
// again, so that no average removes it (Jia et al., CCS 2019).
// x, y: ROWS x COLUMNS, stride STRIDE; pads of y are written zero. inputs: ROWS x INPUTS, stride INPUT_STRIDE. draws: one u32 per
// group of GROUP_ROWS rows. One invocation per row. Bindings: x, inputs, draws, y. Launched by recordNoisyConfidences
// (src/kernels/release.ts). Reference: src/reference/release.ts.
#include "loss/row_softmax.wgsl"
#include "common/hash.wgsl"
#include "common/normal.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> inputs: array<vec4u>;
@group(0) @binding(2) var<storage, read> draws: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

fn key_of(row: u32) -> vec4u {
  var key = vec4u(0u, 0u, draws[row / GROUP_ROWS], STREAM);
  for (var i = 0u; i < (INPUTS + 3u) / 4u; i++) {
    let inside = vec4u(i * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(INPUTS);
    key = pcg4d(key ^ select(vec4u(), inputs[row * (INPUT_STRIDE / 4u) + i], inside));
  }
  return key;
}

// Noisy confidences 4 i ..
fn noisy(row: u32, i: u32, largest: f32, sum: f32, key: vec4u) -> vec4f {
  let words = pcg4d(key ^ vec4u(i + 1u, 0u, 0u, 0u));
  let noise = vec4f(standard_normals(words.xy), standard_normals(words.zw));
  return select(vec4f(), row_exp(row, i, largest) / sum + DEVIATION * noise, in_row(i * 4u));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let largest = row_max(row);
  let sum = row_exp_sum(row, largest);
  let key = key_of(row);
  var total = vec4f();
  for (var i = 0u; i < ROW_VECTORS; i++) { total += max(noisy(row, i, largest, sum, key), vec4f()); }
  let scale = 1.0 / max(horizontal_sum(total), 0.5 * DEVIATION);
  for (var i = 0u; i < STRIDE / 4u; i++) {
    let released = max(noisy(row, i, largest, sum, key), vec4f(0.5 * DEVIATION)) * scale;
    y[row * (STRIDE / 4u) + i] = select(vec4f(), log(released), in_row(i * 4u));
  }
}
