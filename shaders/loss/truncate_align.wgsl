// The attacker's preprocessing of a row of logits before the inversion network (Yang, Chang and Liang, CCS 2019, in the
// published form): t_j = log p_j = x_j - m - log sum_k exp(x_k - m), never the log of an underflowed confidence. The KEPT
// largest of a row are kept (of equals, those of lower index): a_j = max(t_j, LOWER) + OFFSET, and
// y_j = a_j + max(0, -min a), with the minimum over the kept classes; y_j = 0 for the others.
// FAITHFUL: where t_j < UNDERFLOW, that is where the f32 confidence would be 0, t_j counts as -1000 as in the published
// code; the decision uses t, because adapters may or may not keep denormals. floored: the number of kept classes of a row
// for which this holds, with or without FAITHFUL.
// A row with a NaN or +infinity, or nothing but -infinity, has no confidences: all KEPT entries are NaN.
// x: ROWS x COLUMNS, stride STRIDE. y: the same, stride OUT_STRIDE; pads are written zero. floored: ROWS u32.
// One invocation per row. Where KEPT < COLUMNS, the KEPT-th largest logit is found by bisection of its bits, in at most 33
// passes over the row.
// Bindings: x, y, floored. Launched by recordTruncateAlign (src/kernels/align.ts). Reference: src/reference/align.ts.
#include "loss/row_softmax.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> floored: array<u32>;

const NAN: u32 = 0x7fc00000u;

// Maps floats other than NaN to u32 of the same order, with -0 as 0. The key of a pad is below that of every number.
fn row_keys(row: u32, i: u32) -> vec4u {
  let bits = bitcast<vec4u>(x[row * (STRIDE / 4u) + i]);
  let keys = select(bits | vec4u(0x80000000u), ~bits, bits > vec4u(0x80000000u));
  return select(vec4u(), keys, in_row(i * 4u));
}

fn key_value(key: u32) -> f32 { return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u)); }

fn ones(which: vec4<bool>) -> vec4u { return select(vec4u(), vec4u(1u), which); }

fn total(v: vec4u) -> u32 { return v.x + v.y + v.z + v.w; }

// The number of keys of the row that are at least `key`, and the smallest of them.
fn count_from(row: u32, key: u32) -> vec2u {
  var counts = vec4u();
  var smallest = vec4u(0xffffffffu);
  for (var i = 0u; i < ROW_VECTORS; i++) {
    let keys = row_keys(row, i);
    let is_above = keys >= vec4u(key);
    counts += ones(is_above);
    smallest = min(smallest, select(vec4u(0xffffffffu), keys, is_above));
  }
  return vec2u(total(counts), min(min(smallest.x, smallest.y), min(smallest.z, smallest.w)));
}

fn aligned(t: vec4f) -> vec4f {
  return max(select(t, vec4f(-1000.0), vec4<bool>(FAITHFUL) & (t < vec4f(UNDERFLOW))), vec4f(LOWER)) + OFFSET;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x + id.y * GRID_WIDTH;
  if (row >= ROWS) { return; }
  // Keys of the smallest and the largest logit; those of infinity are 0x007fffff and 0xff800000, of NaN beyond them.
  var low = row_keys(row, 0u).x;
  var high = low;
  for (var i = 0u; i < ROW_VECTORS; i++) {
    let keys = row_keys(row, i);
    let inside = select(vec4u(low), keys, in_row(i * 4u));
    low = min(min(min(inside.x, inside.y), min(inside.z, inside.w)), low);
    high = max(max(max(keys.x, keys.y), max(keys.z, keys.w)), high);
  }
  let is_bad = low < 0x007fffffu || high >= 0xff800000u || high == 0x007fffffu;
  let largest = key_value(high);
  let log_sum = log(row_exp_sum(row, largest));

  // The bisection leaves the KEPT-th largest key in `low`: at least KEPT keys are >= low, and fewer than KEPT are > high.
  var ties = COLUMNS;
  if (KEPT < COLUMNS) {
    var found = false;
    while (low < high && !found) {
      let middle = high - (high - low) / 2u;
      let above = count_from(row, middle);
      if (above.x >= KEPT) { low = above.y; } else { high = middle - 1u; }
      found = above.x == KEPT;
    }
    // All keys above it are kept, and `ties` of those equal to it.
    ties = KEPT - count_from(row, low + 1u).x;
  }
  // The logarithm is monotonic, so the smallest kept value belongs to that key.
  let lift = max(0.0, -aligned(vec4f((key_value(low) - largest) - log_sum)).x);
  var floors = 0u;
  for (var i = 0u; i < OUT_STRIDE / 4u; i++) {
    var entries = vec4u();
    if (i < ROW_VECTORS) {
      let keys = row_keys(row, i);
      let equal = ones((keys == vec4u(low)) & in_row(i * 4u));
      let before = vec4u(0u, equal.x, equal.x + equal.y, equal.x + equal.y + equal.z);
      let keep = (keys > vec4u(low)) | ((equal == vec4u(1u)) & (before < vec4u(ties)));
      ties -= min(ties, total(equal));
      let t = (x[row * (STRIDE / 4u) + i] - largest) - log_sum;
      floors += total(ones(keep & (t < vec4f(UNDERFLOW))));
      let values = select(bitcast<vec4u>(aligned(t) + lift), vec4u(NAN), is_bad);
      entries = select(vec4u(), values, keep);
    }
    y[row * (OUT_STRIDE / 4u) + i] = entries;
  }
  floored[row] = select(floors, 0u, is_bad);
}
