// The common part of the softmax kernels: the largest logit of a row and the sum of exp(logit - largest), in column order.
// The including shader declares `x`, ROWS x COLUMNS with stride STRIDE, and the constants.
#include "common/columns.wgsl"

const ROW_VECTORS: u32 = (COLUMNS + 3u) / 4u;

fn horizontal_sum(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }

// max_j x[row, j]
fn row_max(row: u32) -> f32 {
  let first = row * (STRIDE / 4u);
  let fallback = vec4f(x[first].x);
  var largest = fallback;
  for (var i = 0u; i < ROW_VECTORS; i++) {
    largest = max(largest, select(fallback, x[first + i], in_row(i * 4u)));
  }
  return max(max(largest.x, largest.y), max(largest.z, largest.w));
}

// exp(x[row, 4 i ..] - largest), zero in pads
fn row_exp(row: u32, i: u32, largest: f32) -> vec4f {
  return select(vec4f(), exp(x[row * (STRIDE / 4u) + i] - largest), in_row(i * 4u));
}

// sum_j exp(x[row, j] - largest), at least 1
fn row_exp_sum(row: u32, largest: f32) -> f32 {
  var sum = vec4f();
  for (var i = 0u; i < ROW_VECTORS; i++) { sum += row_exp(row, i, largest); }
  return horizontal_sum(sum);
}
