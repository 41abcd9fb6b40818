// The forward product at granularity `inference`: every row of A (image) reads the weights separately,
// C[m, n] = act(sum_k A[m, k] fetch_m(W)[n, k] + fetch_m(bias)[n]). Direct: one draw for every (block, image) pair.
// A is M x K f32, W is N x K codes, C is M x N f32. One invocation computes 1 row x 4 columns. The number of an image in
// the keys is step.first_image + m, so results do not depend on how images are split into batches.
// Bindings: a, codes, fault_table, c, step. Launched by recordApproximateGemm (src/kernels/gemm.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> step: Step;

#include "struct/step"
#include "common/fetch_approximate.wgsl"

var<private> bias: Read;

fn load_bias(column4: u32) -> vec4f {
  return fetch_block(bias, column4 / 4u, 0u)[column4 % 4u];
}

#include "gemm/epilogue.wgsl"
#include "gemm/store.wgsl"

// sum over 16 k of one row of A (from vec4 index `at`) times one block of W
fn dot16(at: u32, w: mat4x4f) -> f32 {
  return dot(a[at], w[0]) + dot(a[at + 1u], w[1]) + dot(a[at + 2u], w[2]) + dot(a[at + 3u], w[3]);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y;
  let column = id.x * 4u;
  if (row >= M || column >= N) { return; }
  let weights = begin_read(WEIGHT_MAP, WEIGHT_ORIGIN, step.first_image + row);
  bias = begin_read(BIAS_MAP, BIAS_ORIGIN, step.first_image + row);
  var sum = vec4f();
  for (var k16 = 0u; k16 < STRIDE_B / 16u; k16++) {
    let at = row * (STRIDE_A / 4u) + k16 * 4u;
    let block = column * (STRIDE_B / 16u) + k16;
    sum += vec4f(
      dot16(at, fetch_block(weights, block, column)),
      dot16(at, fetch_block(weights, block + STRIDE_B / 16u, column + 1u)),
      dot16(at, fetch_block(weights, block + 2u * (STRIDE_B / 16u), column + 2u)),
      dot16(at, fetch_block(weights, block + 3u * (STRIDE_B / 16u), column + 3u)),
    );
  }
  store_row(row, column, sum);
}
