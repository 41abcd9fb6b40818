// C = act(A B^T + bias): the forward pass of a dense layer, C[m, n] = act(sum_k A[m, k] B[n, k] + bias[n]).
// A is M x K (activations), B is N x K (weights, [out, in] as PyTorch keeps them), C is M x N, all row-major with strides
// that are multiples of 16 and zero pads, so no loop tests a bound: K runs to the next multiple of 4.
// One invocation or a quad computes a register tile, without barriers. Both operands are read four k at a time and
// transposed in registers, which costs nothing where a vec4 is four registers. Workgroup z runs over SPLIT_K slices of k.
// Workgroup z also runs over a batch of products, whose operands lie BATCH_A, BATCH_B, BATCH_BIAS vec4 apart (0: shared).
// Bindings: a, b (<operand>: f32, or codes of a stored tensor), bias, c; fault_table with codes. Launched by recordGemm
// (src/kernels/gemm.ts).
// Measured on SwiftShader, 512^3, share of its FMA ceiling: 48 % with quad_16x32, 42 % with quad_16x16, 18 % with 16x16;
// with an instruction cache of 32 KB instead of 64, 22, 29 and 17 %.
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

fn load_a(i: u32) -> vec4f { return a[i]; }
fn load_bias(i: u32) -> vec4f { return bias[slice / SPLIT_K * BATCH_BIAS + i]; }

#include <operand>
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
  let first = id.z % SPLIT_K * K4_SLICE;
  let end = min(first + K4_SLICE, K4);
  open_b();
  var tile: Tile;
  var at_a = product * BATCH_A + row * (STRIDE_A / 4u) + first;
  var at_b = product * BATCH_B + column * (STRIDE_B / 4u) + first;
  for (var k = first; k < end; k++) {
    tile_rank4(&tile, panel_a_rows(at_a, STRIDE_A / 4u), panel_b_rows(at_b, STRIDE_B / 4u));
    at_a++;
    at_b++;
  }
  tile_store(&tile, row, column);
}
