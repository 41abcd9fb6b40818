// C = A^T B: the gradient of a dense layer with respect to its weights, dW[n, k] = sum_m dY[m, n] X[m, k].
// A is K x M, B is K x N (both k-major: every k is an outer product of contiguous vectors), C is M x N; strides are
// multiples of 16 with zero pads. K (the batch) runs over exactly its elements, four k per step and the rest one by one, so
// that batches need no padding. One invocation or a quad computes a register tile, without barriers.
// Workgroup z also runs over a batch of products, whose operands lie BATCH_A, BATCH_B, BATCH_BIAS vec4 apart (0: shared).
// Bindings: a, b, bias, c. Launched by recordGemm (src/kernels/gemm.ts).
// Measured on SwiftShader, 512^3: quads of 16 x 32 reach 47 % of its FMA ceiling.
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

fn load_a(i: u32) -> vec4f { return a[i]; }
fn load_b(i: u32) -> vec4f { return b[i]; }
fn load_bias(i: u32) -> vec4f { return bias[slice / SPLIT_K * BATCH_BIAS + i]; }

#include <tile>
#include "gemm/epilogue.wgsl"
#include "gemm/store.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let tile_at = tile_origin(id);
  if (tile_at.x >= M || tile_at.y >= N) { return; }
  let row = panel_origin(id).x;
  let column = panel_origin(id).y;
  slice = id.z;
  let product = id.z / SPLIT_K;
  let first = id.z % SPLIT_K * K_SLICE;
  let end = min(first + K_SLICE, K);
  var tile: Tile;
  var at_a = product * BATCH_A + first * (STRIDE_A / 4u) + (row >> 2u);
  var at_b = product * BATCH_B + first * (STRIDE_B / 4u) + (column >> 2u);
  var k = first;
  for (; k + 4u <= end; k += 4u) {
    tile_rank4(&tile, panel_a_columns(at_a, STRIDE_A / 4u), panel_b_columns(at_b, STRIDE_B / 4u));
    at_a += STRIDE_A;
    at_b += STRIDE_B;
  }
  if (K % 4u != 0u) {
    for (; k < end; k++) {
      tile_rank1_at(&tile, at_a, at_b);
      at_a += STRIDE_A / 4u;
      at_b += STRIDE_B / 4u;
    }
  }
  tile_store(&tile, row, column);
}
