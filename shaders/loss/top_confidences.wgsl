// The confidences p = softmax(x) of a model that releases only the K largest, as logarithms, so that a reader of logits can read
// them: y_j = log p_j for these K, and log((1 - their sum) / (COLUMNS - K)) for the others, which an attacker must take for
// equal, because they are known to add up to the rest only. Of equal confidences the first is the larger one.
// The rest is at least 2^-126, the smallest normal f32. x, y: ROWS x COLUMNS, stride STRIDE; pads of y are written zero. One
// invocation per row. Bindings: x, y. Launched by recordTopConfidences (src/kernels/release.ts). Reference:
// src/reference/release.ts.
#include "loss/row_softmax.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  let first = row * (STRIDE / 4u);
  // The last of the K largest, found one after the other.
  var last = 0.0;
  var place = 0u;
  for (var k = 0u; k < K; k++) {
    var value = 0.0;
    var at = COLUMNS;
    for (var j = 0u; j < COLUMNS; j++) {
      let logit = x[first + j / 4u][j % 4u];
      let open = k == 0u || logit < last || (logit == last && j > place);
      if (open && (at == COLUMNS || logit > value)) {
        value = logit;
        at = j;
      }
    }
    last = value;
    place = at;
  }
  let largest = row_max(row);
  let sum = row_exp_sum(row, largest);
  var others = vec4f();
  for (var i = 0u; i < ROW_VECTORS; i++) {
    others += select(row_exp(row, i, largest), vec4f(), is_released(x[first + i], i, last, place));
  }
  let rest = log(max(horizontal_sum(others) / sum, 0x1p-126f) / f32(max(COLUMNS - K, 1u)));
  for (var i = 0u; i < STRIDE / 4u; i++) {
    let logit = x[first + i];
    let known = logit - largest - log(sum);
    y[first + i] = select(vec4f(), select(vec4f(rest), known, is_released(logit, i, last, place)), in_row(i * 4u));
  }
}

fn is_released(logit: vec4f, i: u32, last: f32, place: u32) -> vec4<bool> {
  let column = vec4u(i * 4u) + vec4u(0u, 1u, 2u, 3u);
  return (logit > vec4f(last)) | ((logit == vec4f(last)) & (column <= vec4u(place)));
}
