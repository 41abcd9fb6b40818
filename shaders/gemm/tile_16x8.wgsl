// A 16 x 8 block of C in registers, as 4 x 2 matrices of 4 x 4. Column i of c<R><S> is row 4R + i of the block and its
// components are columns 4S .. 4S + 3, so one fma on a vec4 updates four outputs of a row. For 5 .. 8 columns.
// Members are named and not an array, because an array indexed by a loop variable would not stay in registers.
// Included by register-tile kernels as <tile>.
const TILE_M: u32 = 16u;
const TILE_N: u32 = 8u;

#include "gemm/tile_alone.wgsl"

struct Tile {
  c00: mat4x4f, c01: mat4x4f,
  c10: mat4x4f, c11: mat4x4f,
  c20: mat4x4f, c21: mat4x4f,
  c30: mat4x4f, c31: mat4x4f,
}

// 16 rows of A at four consecutive k: p<R>[kk] holds rows 4R .. 4R + 3 at k + kk.
struct PanelA {
  p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f,
}

// 8 columns of B at four consecutive k: p<S>[kk] holds columns 4S .. 4S + 3 at k + kk.
struct PanelB {
  p0: mat4x4f, p1: mat4x4f,
}

fn outer(a: vec4f, b: vec4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(fma(vec4f(a.x), b, c[0]), fma(vec4f(a.y), b, c[1]), fma(vec4f(a.z), b, c[2]), fma(vec4f(a.w), b, c[3]));
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a0: vec4f, a1: vec4f, a2: vec4f, a3: vec4f, b0: vec4f, b1: vec4f) {
  (*t).c00 = outer(a0, b0, (*t).c00);
  (*t).c01 = outer(a0, b1, (*t).c01);
  (*t).c10 = outer(a1, b0, (*t).c10);
  (*t).c11 = outer(a1, b1, (*t).c11);
  (*t).c20 = outer(a2, b0, (*t).c20);
  (*t).c21 = outer(a2, b1, (*t).c21);
  (*t).c30 = outer(a3, b0, (*t).c30);
  (*t).c31 = outer(a3, b1, (*t).c31);
}

// C += A B for four k.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  tile_rank1(t, a.p0[0], a.p1[0], a.p2[0], a.p3[0], b.p0[0], b.p1[0]);
  tile_rank1(t, a.p0[1], a.p1[1], a.p2[1], a.p3[1], b.p0[1], b.p1[1]);
  tile_rank1(t, a.p0[2], a.p1[2], a.p2[2], a.p3[2], b.p0[2], b.p1[2]);
  tile_rank1(t, a.p0[3], a.p1[3], a.p2[3], a.p3[3], b.p0[3], b.p1[3]);
}

// Columns of B that lie in memory as rows (B transposed), four k each.
fn panel_b_rows(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    transpose(mat4x4f(load_b(at), load_b(at + 1u * stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4))),
    transpose(mat4x4f(load_b(at + 4u * stride4), load_b(at + 5u * stride4), load_b(at + 6u * stride4), load_b(at + 7u * stride4))),
  );
}

// Four rows of a row-major B as a panel.
fn panel_b_columns(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4)),
    mat4x4f(load_b(at + 1u), load_b(at + stride4 + 1u), load_b(at + 2u * stride4 + 1u), load_b(at + 3u * stride4 + 1u)),
  );
}

// One k, number kk of a panel of A, and the first of sixteen columns of B.
fn tile_rank1_block(t: ptr<function, Tile>, a: PanelA, kk: u32, w: mat4x4f) {
  tile_rank1(t, a.p0[kk], a.p1[kk], a.p2[kk], a.p3[kk], w[0], w[1]);
}

fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  var cells: array<vec4f, 32>;
  cells[0] = (*t).c00[0];
  cells[2] = (*t).c00[1];
  cells[4] = (*t).c00[2];
  cells[6] = (*t).c00[3];
  cells[1] = (*t).c01[0];
  cells[3] = (*t).c01[1];
  cells[5] = (*t).c01[2];
  cells[7] = (*t).c01[3];
  cells[8] = (*t).c10[0];
  cells[10] = (*t).c10[1];
  cells[12] = (*t).c10[2];
  cells[14] = (*t).c10[3];
  cells[9] = (*t).c11[0];
  cells[11] = (*t).c11[1];
  cells[13] = (*t).c11[2];
  cells[15] = (*t).c11[3];
  cells[16] = (*t).c20[0];
  cells[18] = (*t).c20[1];
  cells[20] = (*t).c20[2];
  cells[22] = (*t).c20[3];
  cells[17] = (*t).c21[0];
  cells[19] = (*t).c21[1];
  cells[21] = (*t).c21[2];
  cells[23] = (*t).c21[3];
  cells[24] = (*t).c30[0];
  cells[26] = (*t).c30[1];
  cells[28] = (*t).c30[2];
  cells[30] = (*t).c30[3];
  cells[25] = (*t).c31[0];
  cells[27] = (*t).c31[1];
  cells[29] = (*t).c31[2];
  cells[31] = (*t).c31[3];
  for (var i = 0u; i < 32u; i++) { store_row(row + (i >> 1u), column + 4u * (i & 1u), cells[i]); }
}
