// The input gradient at granularity `inference`: C[m, :] = sum_k A[m, k] fetch_m(W)[k, :], every image m reads the weights
// separately. Direct: one draw for every (block, image) pair. A is M x K f32, W is K x N codes, C is M x N f32.
// One invocation computes 1 row x 16 columns: a row of W under it is one block.
// Bindings: a, codes, fault_table, c, step. Launched by recordApproximateGemm (src/kernels/gemm.ts).
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> step: Step;

#include "struct/step"
#include "common/fetch_approximate.wgsl"

fn load_bias(i: u32) -> vec4f { return vec4f(); }

#include "gemm/epilogue.wgsl"
#include "gemm/store.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y;
  let column = id.x * 16u;
  if (row >= M || column >= N) { return; }
  let weights = begin_read(WEIGHT_MAP, WEIGHT_ORIGIN, step.first_image + row);
  var sum = mat4x4f();
  for (var k = 0u; k < K; k++) {
    sum += fetch_block(weights, k * (STRIDE_B / 16u) + column / 16u, k) * a[row * STRIDE_A + k];
  }
  store_row(row, column, sum[0]);
  store_row(row, column + 4u, sum[1]);
  store_row(row, column + 8u, sum[2]);
  store_row(row, column + 12u, sum[3]);
}
