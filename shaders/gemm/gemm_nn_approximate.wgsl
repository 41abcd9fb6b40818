// C = A W with W fetched from approximate memory inside the product: the gradient with respect to a dense layer's input,
// read by an attacker through the same unreliable memory (the fused path of the backward pass).
// A is M x K f32, W is K x N codes, C is M x N f32. One invocation computes a 16 x 16 tile; a row of W under the tile is
// exactly one block. Bindings: a, codes, fault_table, c, step. Launched by recordApproximateGemm (src/kernels/gemm.ts).
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> codes: array<Words>;
@group(0) @binding(2) var<storage, read> fault_table: array<u32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(4) var<uniform> step: Step;

#include "struct/step"
#include "common/fetch_approximate.wgsl"

fn load_a(i: u32) -> vec4f { return a[i]; }
fn load_b(i: u32) -> vec4f { return vec4f(); }  // unused: B is read in blocks
fn load_bias(i: u32) -> vec4f { return vec4f(); }

#include "gemm/tile_16x16.wgsl"
#include "gemm/epilogue.wgsl"
#include "gemm/store.wgsl"

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y * TILE_M;
  let column = id.x * TILE_N;
  if (row >= M || column >= N) { return; }
  let weights = begin_read(WEIGHT_MAP, WEIGHT_ORIGIN, 0u);
  var tile: Tile;
  for (var k = 0u; k < K4; k++) {
    let rows = panel_a_rows(row * (STRIDE_A / 4u) + k, STRIDE_A / 4u);
    for (var kk = 0u; kk < 4u; kk++) {
      let w = fetch_block(weights, (k * 4u + kk) * (STRIDE_B / 16u) + column / 16u, k * 4u + kk);
      tile_rank1(&tile, rows.p0[kk], rows.p1[kk], rows.p2[kk], rows.p3[kk], w[0], w[1], w[2], w[3]);
    }
  }
  tile_store(&tile, row, column);
}
