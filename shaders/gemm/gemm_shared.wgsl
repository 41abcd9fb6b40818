// The same three products as gemm_nt, gemm_nn and gemm_tn, through workgroup memory, for GPUs that have it in hardware:
// a workgroup of 16 x 16 computes a 64 x 64 block of C, each invocation 4 x 4, over k in steps of 16; both operands are
// staged k-major so that the inner loop reads four numbers of each and does four fma on vec4. They are staged as scalars: a store into
// a part of a vec4 may write all of it, and its parts come from different invocations.
// A_K_MAJOR: A is stored K x M (tn). B_K_MAJOR: B is stored K x N (nn, tn), otherwise N x K (nt).
// On SwiftShader a barrier turns the shader into coroutines (5-13 times slower): the launcher picks this family only for
// hardware adapters, while the tests run it everywhere.
// Workgroup z also runs over a batch of products, whose operands lie BATCH_A, BATCH_B, BATCH_BIAS vec4 apart (0: shared).
// Bindings: a, b (<operand>: f32, or codes of a stored tensor), bias, c; fault_table with codes. Launched by recordGemm
// (src/kernels/gemm.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

fn load_bias(i: u32) -> vec4f { return bias[slice / SPLIT_K * BATCH_BIAS + i]; }

#include <operand>
#include "gemm/epilogue.wgsl"
#include "gemm/store.wgsl"

const BLOCK: u32 = 64u;
const STEP_K: u32 = 16u;
// [k][row] and [k][column]
var<workgroup> tile_a: array<array<f32, BLOCK>, STEP_K>;
var<workgroup> tile_b: array<array<f32, BLOCK>, STEP_K>;

// Numbers 4 i to 4 i + 3 of the staged k.
fn staged_a(k: u32, i: u32) -> vec4f {
  return vec4f(tile_a[k][4u * i], tile_a[k][4u * i + 1u], tile_a[k][4u * i + 2u], tile_a[k][4u * i + 3u]);
}
fn staged_b(k: u32, i: u32) -> vec4f {
  return vec4f(tile_b[k][4u * i], tile_b[k][4u * i + 1u], tile_b[k][4u * i + 2u], tile_b[k][4u * i + 3u]);
}
fn stage_a(k: u32, i: u32, v: vec4f) {
  tile_a[k][4u * i] = v.x;
  tile_a[k][4u * i + 1u] = v.y;
  tile_a[k][4u * i + 2u] = v.z;
  tile_a[k][4u * i + 3u] = v.w;
}
fn stage_b(k: u32, i: u32, v: vec4f) {
  tile_b[k][4u * i] = v.x;
  tile_b[k][4u * i + 1u] = v.y;
  tile_b[k][4u * i + 2u] = v.z;
  tile_b[k][4u * i + 3u] = v.w;
}

@compute @workgroup_size(16, 16)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row0 = group.y * BLOCK;
  let column0 = group.x * BLOCK;
  slice = group.z;
  let base_a = group.z / SPLIT_K * BATCH_A;
  let base_b = group.z / SPLIT_K * BATCH_B;
  let first = group.z % SPLIT_K * K_SLICE;
  let end = min(first + K_SLICE, K);
  open_b();
  let t = local.y * 16u + local.x;
  var block = mat4x4f();
  for (var k = first; k < end; k += STEP_K) {
    // 256 invocations stage 16 k x 64 values of each operand, four values each.
    if (A_K_MAJOR) {
      let kk = t / 16u;
      let inside = k + kk < end && row0 + (t % 16u) * 4u < STRIDE_A;
      stage_a(kk, t % 16u, select(vec4f(), a[base_a + ((k + kk) * STRIDE_A + row0) / 4u + t % 16u], inside));
    } else {
      let r = t / 4u;
      let kk = (t % 4u) * 4u;
      let inside = row0 + r < M && k + kk < STRIDE_A;
      let keep = vec4u(k + kk) + vec4u(0u, 1u, 2u, 3u) < vec4u(end);
      let v = select(vec4f(), a[base_a + ((row0 + r) * STRIDE_A + k + kk) / 4u], keep & vec4<bool>(inside));
      tile_a[kk][r] = v.x;
      tile_a[kk + 1u][r] = v.y;
      tile_a[kk + 2u][r] = v.z;
      tile_a[kk + 3u][r] = v.w;
    }
    if (B_K_MAJOR) {
      let kk = t / 16u;
      let inside = k + kk < end && column0 + (t % 16u) * 4u < STRIDE_B;
      stage_b(kk, t % 16u, select(vec4f(), load_b(base_b + ((k + kk) * STRIDE_B + column0) / 4u + t % 16u), inside));
    } else {
      let n = t / 4u;
      let kk = (t % 4u) * 4u;
      let inside = column0 + n < N && k + kk < STRIDE_B;
      let keep = vec4u(k + kk) + vec4u(0u, 1u, 2u, 3u) < vec4u(end);
      let v = select(vec4f(), load_b(base_b + ((column0 + n) * STRIDE_B + k + kk) / 4u), keep & vec4<bool>(inside));
      tile_b[kk][n] = v.x;
      tile_b[kk + 1u][n] = v.y;
      tile_b[kk + 2u][n] = v.z;
      tile_b[kk + 3u][n] = v.w;
    }
    workgroupBarrier();
    for (var kk = 0u; kk < STEP_K; kk++) {
      let av = staged_a(kk, local.y);
      let bv = staged_b(kk, local.x);
      block[0] = fma(vec4f(av.x), bv, block[0]);
      block[1] = fma(vec4f(av.y), bv, block[1]);
      block[2] = fma(vec4f(av.z), bv, block[2]);
      block[3] = fma(vec4f(av.w), bv, block[3]);
    }
    workgroupBarrier();
  }
  store_block(row0 + local.y * 4u, column0 + local.x * 4u, block);
}
