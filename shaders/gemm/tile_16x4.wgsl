// A 16 x 4 block of C in registers, as 4 x 1 matrices of 4 x 4. Column i of c<R><S> is row 4R + i of the block and its
// components are columns 4S .. 4S + 3, so one fma on a vec4 updates four outputs of a row. For up to 4 columns.
// Members are named and not an array, because an array indexed by a loop variable would not stay in registers.
// Included by register-tile kernels as <tile>.
const TILE_M: u32 = 16u;
const TILE_N: u32 = 4u;

#include "gemm/tile_alone.wgsl"

struct Tile {
  c00: mat4x4f,
  c10: mat4x4f,
  c20: mat4x4f,
  c30: mat4x4f,
}

// 16 rows of A at four consecutive k: p<R>[kk] holds rows 4R .. 4R + 3 at k + kk.
struct PanelA {
  p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f,
}

// 4 columns of B at four consecutive k: p<S>[kk] holds columns 4S .. 4S + 3 at k + kk.
struct PanelB {
  p0: mat4x4f,
}

fn outer(a: vec4f, b: vec4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(fma(vec4f(a.x), b, c[0]), fma(vec4f(a.y), b, c[1]), fma(vec4f(a.z), b, c[2]), fma(vec4f(a.w), b, c[3]));
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a0: vec4f, a1: vec4f, a2: vec4f, a3: vec4f, b0: vec4f) {
  (*t).c00 = outer(a0, b0, (*t).c00);
  (*t).c10 = outer(a1, b0, (*t).c10);
  (*t).c20 = outer(a2, b0, (*t).c20);
  (*t).c30 = outer(a3, b0, (*t).c30);
}

// C += A B for four k.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  tile_rank1(t, a.p0[0], a.p1[0], a.p2[0], a.p3[0], b.p0[0]);
  tile_rank1(t, a.p0[1], a.p1[1], a.p2[1], a.p3[1], b.p0[1]);
  tile_rank1(t, a.p0[2], a.p1[2], a.p2[2], a.p3[2], b.p0[2]);
  tile_rank1(t, a.p0[3], a.p1[3], a.p2[3], a.p3[3], b.p0[3]);
}

// Columns of B that lie in memory as rows (B transposed), four k each.
fn panel_b_rows(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    transpose(mat4x4f(load_b(at), load_b(at + 1u * stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4))),
  );
}

// Four rows of a row-major B as a panel.
fn panel_b_columns(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4)),
  );
}

// One k, number kk of a panel of A, and the first of sixteen columns of B.
fn tile_rank1_block(t: ptr<function, Tile>, a: PanelA, kk: u32, w: mat4x4f) {
  tile_rank1(t, a.p0[kk], a.p1[kk], a.p2[kk], a.p3[kk], w[0]);
}

fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  store_block(row + 0u, column, (*t).c00);
  store_block(row + 4u, column, (*t).c10);
  store_block(row + 8u, column, (*t).c20);
  store_block(row + 12u, column, (*t).c30);
}
