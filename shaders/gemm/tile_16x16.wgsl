// A 16 x 16 block of C in registers, as 4 x 4 matrices of 4 x 4. Column i of c<R><S> is row 4R + i of the block and its
// components are columns 4S .. 4S + 3, so one fma on a vec4 updates four outputs of a row. The fastest without quads on
// SwiftShader. Members are named and not an array, because an array indexed by a loop variable would not stay in registers.
// Included by the register-tile GEMMs as <tile>.
const TILE_M: u32 = 16u;
const TILE_N: u32 = 16u;

#include "gemm/tile_alone.wgsl"

struct Tile {
  c00: mat4x4f, c01: mat4x4f, c02: mat4x4f, c03: mat4x4f,
  c10: mat4x4f, c11: mat4x4f, c12: mat4x4f, c13: mat4x4f,
  c20: mat4x4f, c21: mat4x4f, c22: mat4x4f, c23: mat4x4f,
  c30: mat4x4f, c31: mat4x4f, c32: mat4x4f, c33: mat4x4f,
}

// 16 rows of A at four consecutive k: p<R>[kk] holds rows 4R .. 4R + 3 at k + kk.
struct PanelA {
  p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f,
}

// 16 columns of B at four consecutive k: p<S>[kk] holds columns 4S .. 4S + 3 at k + kk.
struct PanelB {
  p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f,
}

fn outer(a: vec4f, b: vec4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(fma(vec4f(a.x), b, c[0]), fma(vec4f(a.y), b, c[1]), fma(vec4f(a.z), b, c[2]), fma(vec4f(a.w), b, c[3]));
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a0: vec4f, a1: vec4f, a2: vec4f, a3: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) {
  (*t).c00 = outer(a0, b0, (*t).c00);
  (*t).c01 = outer(a0, b1, (*t).c01);
  (*t).c02 = outer(a0, b2, (*t).c02);
  (*t).c03 = outer(a0, b3, (*t).c03);
  (*t).c10 = outer(a1, b0, (*t).c10);
  (*t).c11 = outer(a1, b1, (*t).c11);
  (*t).c12 = outer(a1, b2, (*t).c12);
  (*t).c13 = outer(a1, b3, (*t).c13);
  (*t).c20 = outer(a2, b0, (*t).c20);
  (*t).c21 = outer(a2, b1, (*t).c21);
  (*t).c22 = outer(a2, b2, (*t).c22);
  (*t).c23 = outer(a2, b3, (*t).c23);
  (*t).c30 = outer(a3, b0, (*t).c30);
  (*t).c31 = outer(a3, b1, (*t).c31);
  (*t).c32 = outer(a3, b2, (*t).c32);
  (*t).c33 = outer(a3, b3, (*t).c33);
}

// C += A B for four k.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  tile_rank1(t, a.p0[0], a.p1[0], a.p2[0], a.p3[0], b.p0[0], b.p1[0], b.p2[0], b.p3[0]);
  tile_rank1(t, a.p0[1], a.p1[1], a.p2[1], a.p3[1], b.p0[1], b.p1[1], b.p2[1], b.p3[1]);
  tile_rank1(t, a.p0[2], a.p1[2], a.p2[2], a.p3[2], b.p0[2], b.p1[2], b.p2[2], b.p3[2]);
  tile_rank1(t, a.p0[3], a.p1[3], a.p2[3], a.p3[3], b.p0[3], b.p1[3], b.p2[3], b.p3[3]);
}

// Rows of A from its vec4 index `at`, `stride4` vec4 per row, four k each.
fn panel_a_rows(at: u32, stride4: u32) -> PanelA {
  return PanelA(
    transpose(mat4x4f(load_a(at), load_a(at + 1u * stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4))),
    transpose(mat4x4f(load_a(at + 4u * stride4), load_a(at + 5u * stride4), load_a(at + 6u * stride4), load_a(at + 7u * stride4))),
    transpose(mat4x4f(load_a(at + 8u * stride4), load_a(at + 9u * stride4), load_a(at + 10u * stride4), load_a(at + 11u * stride4))),
    transpose(mat4x4f(load_a(at + 12u * stride4), load_a(at + 13u * stride4), load_a(at + 14u * stride4), load_a(at + 15u * stride4))),
  );
}

// Four k of a k-major A as a panel.
fn panel_a_columns(at: u32, stride4: u32) -> PanelA {
  return PanelA(
    mat4x4f(load_a(at), load_a(at + stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4)),
    mat4x4f(load_a(at + 1u), load_a(at + stride4 + 1u), load_a(at + 2u * stride4 + 1u), load_a(at + 3u * stride4 + 1u)),
    mat4x4f(load_a(at + 2u), load_a(at + stride4 + 2u), load_a(at + 2u * stride4 + 2u), load_a(at + 3u * stride4 + 2u)),
    mat4x4f(load_a(at + 3u), load_a(at + stride4 + 3u), load_a(at + 2u * stride4 + 3u), load_a(at + 3u * stride4 + 3u)),
  );
}

// Columns of B that lie in memory as rows (B transposed), four k each.
fn panel_b_rows(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    transpose(mat4x4f(load_b(at), load_b(at + 1u * stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4))),
    transpose(mat4x4f(load_b(at + 4u * stride4), load_b(at + 5u * stride4), load_b(at + 6u * stride4), load_b(at + 7u * stride4))),
    transpose(mat4x4f(load_b(at + 8u * stride4), load_b(at + 9u * stride4), load_b(at + 10u * stride4), load_b(at + 11u * stride4))),
    transpose(mat4x4f(load_b(at + 12u * stride4), load_b(at + 13u * stride4), load_b(at + 14u * stride4), load_b(at + 15u * stride4))),
  );
}

// One k of A from a k-major A and of B from a row-major B: both contiguous.
fn tile_rank1_at(t: ptr<function, Tile>, at_a: u32, at_b: u32) {
  tile_rank1(t, load_a(at_a), load_a(at_a + 1u), load_a(at_a + 2u), load_a(at_a + 3u), load_b(at_b), load_b(at_b + 1u), load_b(at_b + 2u), load_b(at_b + 3u));
}

// One k of a k-major A (contiguous), and of B with a separate address for every four columns.
fn tile_rank1_gather(t: ptr<function, Tile>, at_a: u32, at_b: vec4u) {
  tile_rank1(t, load_a(at_a), load_a(at_a + 1u), load_a(at_a + 2u), load_a(at_a + 3u), load_b(at_b.x), load_b(at_b.y), load_b(at_b.z), load_b(at_b.w));
}

// Four k of B, with a separate address for every k and every four columns: at<kk>[S].
fn panel_b_gather(at0: vec4u, at1: vec4u, at2: vec4u, at3: vec4u) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at0.x), load_b(at1.x), load_b(at2.x), load_b(at3.x)),
    mat4x4f(load_b(at0.y), load_b(at1.y), load_b(at2.y), load_b(at3.y)),
    mat4x4f(load_b(at0.z), load_b(at1.z), load_b(at2.z), load_b(at3.z)),
    mat4x4f(load_b(at0.w), load_b(at1.w), load_b(at2.w), load_b(at3.w)),
  );
}

// Four rows of a row-major B as a panel.
fn panel_b_columns(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4)),
    mat4x4f(load_b(at + 1u), load_b(at + stride4 + 1u), load_b(at + 2u * stride4 + 1u), load_b(at + 3u * stride4 + 1u)),
    mat4x4f(load_b(at + 2u), load_b(at + stride4 + 2u), load_b(at + 2u * stride4 + 2u), load_b(at + 3u * stride4 + 2u)),
    mat4x4f(load_b(at + 3u), load_b(at + stride4 + 3u), load_b(at + 2u * stride4 + 3u), load_b(at + 3u * stride4 + 3u)),
  );
}

// One k, number kk of a panel of A, and sixteen columns of B.
fn tile_rank1_block(t: ptr<function, Tile>, a: PanelA, kk: u32, w: mat4x4f) {
  tile_rank1(t, a.p0[kk], a.p1[kk], a.p2[kk], a.p3[kk], w[0], w[1], w[2], w[3]);
}

// The tile is stored through an array and one loop: written out, the epilogue would be compiled once per row and quarter;
// compiling took three times as long, and the kernel was not faster.
fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  var cells: array<vec4f, 64>;
  cells[0] = (*t).c00[0];
  cells[4] = (*t).c00[1];
  cells[8] = (*t).c00[2];
  cells[12] = (*t).c00[3];
  cells[1] = (*t).c01[0];
  cells[5] = (*t).c01[1];
  cells[9] = (*t).c01[2];
  cells[13] = (*t).c01[3];
  cells[2] = (*t).c02[0];
  cells[6] = (*t).c02[1];
  cells[10] = (*t).c02[2];
  cells[14] = (*t).c02[3];
  cells[3] = (*t).c03[0];
  cells[7] = (*t).c03[1];
  cells[11] = (*t).c03[2];
  cells[15] = (*t).c03[3];
  cells[16] = (*t).c10[0];
  cells[20] = (*t).c10[1];
  cells[24] = (*t).c10[2];
  cells[28] = (*t).c10[3];
  cells[17] = (*t).c11[0];
  cells[21] = (*t).c11[1];
  cells[25] = (*t).c11[2];
  cells[29] = (*t).c11[3];
  cells[18] = (*t).c12[0];
  cells[22] = (*t).c12[1];
  cells[26] = (*t).c12[2];
  cells[30] = (*t).c12[3];
  cells[19] = (*t).c13[0];
  cells[23] = (*t).c13[1];
  cells[27] = (*t).c13[2];
  cells[31] = (*t).c13[3];
  cells[32] = (*t).c20[0];
  cells[36] = (*t).c20[1];
  cells[40] = (*t).c20[2];
  cells[44] = (*t).c20[3];
  cells[33] = (*t).c21[0];
  cells[37] = (*t).c21[1];
  cells[41] = (*t).c21[2];
  cells[45] = (*t).c21[3];
  cells[34] = (*t).c22[0];
  cells[38] = (*t).c22[1];
  cells[42] = (*t).c22[2];
  cells[46] = (*t).c22[3];
  cells[35] = (*t).c23[0];
  cells[39] = (*t).c23[1];
  cells[43] = (*t).c23[2];
  cells[47] = (*t).c23[3];
  cells[48] = (*t).c30[0];
  cells[52] = (*t).c30[1];
  cells[56] = (*t).c30[2];
  cells[60] = (*t).c30[3];
  cells[49] = (*t).c31[0];
  cells[53] = (*t).c31[1];
  cells[57] = (*t).c31[2];
  cells[61] = (*t).c31[3];
  cells[50] = (*t).c32[0];
  cells[54] = (*t).c32[1];
  cells[58] = (*t).c32[2];
  cells[62] = (*t).c32[3];
  cells[51] = (*t).c33[0];
  cells[55] = (*t).c33[1];
  cells[59] = (*t).c33[2];
  cells[63] = (*t).c33[3];
  for (var i = 0u; i < 64u; i++) { store_row(row + (i >> 2u), column + 4u * (i & 3u), cells[i]); }
}
