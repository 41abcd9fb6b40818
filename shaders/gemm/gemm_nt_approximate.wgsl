// C = act(A W^T + bias) with W and bias fetched from approximate memory inside the product (the fused path of the forward
// pass): the weights exist decoded only in registers, and each block of 16 is drawn and decoded once per tile of 16 rows.
// A is M x K f32, W is N x K codes, C is M x N f32. One invocation computes 16 rows x 4 columns: four blocks give 4 columns
// x 16 k, which the 16 rows share. The result equals materialise followed by gemm_nt up to the order of sums in C.
// Bindings: a, codes, fault_table, c, step. Launched by recordApproximateGemm (src/kernels/gemm.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> step: Step;

#include "struct/step"
#include "common/fetch_approximate.wgsl"

// The bias is fetched once per tile, which has four columns.
var<private> bias: vec4f;

fn load_bias(column4: u32) -> vec4f { return bias; }

#include "gemm/epilogue.wgsl"
#include "gemm/store.wgsl"

fn outer(a: vec4f, b: vec4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(fma(vec4f(a.x), b, c[0]), fma(vec4f(a.y), b, c[1]), fma(vec4f(a.z), b, c[2]), fma(vec4f(a.w), b, c[3]));
}

// c + four rows of A at four k, times four columns of W at the same k.
fn rank4(at: u32, b: mat4x4f, c: mat4x4f) -> mat4x4f {
  let rows = transpose(mat4x4f(a[at], a[at + STRIDE_A / 4u], a[at + 2u * (STRIDE_A / 4u)], a[at + 3u * (STRIDE_A / 4u)]));
  return outer(rows[3], b[3], outer(rows[2], b[2], outer(rows[1], b[1], outer(rows[0], b[0], c))));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y * 16u;
  let column = id.x * 4u;
  if (row >= M || column >= N) { return; }
  let weights = begin_read(WEIGHT_MAP, WEIGHT_ORIGIN, 0u);
  if (BIAS) { bias = fetch_block(begin_read(BIAS_MAP, BIAS_ORIGIN, 0u), column / 16u, 0u)[(column / 4u) % 4u]; }
  var c0 = mat4x4f();
  var c1 = mat4x4f();
  var c2 = mat4x4f();
  var c3 = mat4x4f();
  for (var k16 = 0u; k16 < STRIDE_B / 16u; k16++) {
    let block = column * (STRIDE_B / 16u) + k16;
    let w0 = fetch_block(weights, block, column);
    let w1 = fetch_block(weights, block + STRIDE_B / 16u, column + 1u);
    let w2 = fetch_block(weights, block + 2u * (STRIDE_B / 16u), column + 2u);
    let w3 = fetch_block(weights, block + 3u * (STRIDE_B / 16u), column + 3u);
    for (var q = 0u; q < 4u; q++) {
      let b = transpose(mat4x4f(w0[q], w1[q], w2[q], w3[q]));
      let at = row * (STRIDE_A / 4u) + k16 * 4u + q;
      c0 = rank4(at, b, c0);
      c1 = rank4(at + STRIDE_A, b, c1);
      c2 = rank4(at + 2u * STRIDE_A, b, c2);
      c3 = rank4(at + 3u * STRIDE_A, b, c3);
    }
  }
  store_block(row, column, c0);
  store_block(row + 4u, column, c1);
  store_block(row + 8u, column, c2);
  store_block(row + 12u, column, c3);
}
