// The rows of a tile of a quad: 32, of which each invocation loads 8.
const TILE_M: u32 = 32u;

#include "gemm/tile_quad.wgsl"

// The invocation's 8 rows of A at four consecutive k: p<R>[kk] holds rows 4 R .. 4 R + 3 at k + kk.
struct PanelA {
  p0: mat4x4f, p1: mat4x4f,
}

// The same at one k.
struct ColumnA {
  p0: vec4f, p1: vec4f,
}

// A row of the tile is the invocation's columns of one row of C. r<X><I> is row I of the 8 rows received by swap X: 0 none,
// 1 x, 2 y, 3 diagonal. Members are named and not an array, because an array indexed by a loop variable would not stay in
// registers.
struct Tile {
  r00: Row, r01: Row, r02: Row, r03: Row, r04: Row, r05: Row, r06: Row, r07: Row,
  r10: Row, r11: Row, r12: Row, r13: Row, r14: Row, r15: Row, r16: Row, r17: Row,
  r20: Row, r21: Row, r22: Row, r23: Row, r24: Row, r25: Row, r26: Row, r27: Row,
  r30: Row, r31: Row, r32: Row, r33: Row, r34: Row, r35: Row, r36: Row, r37: Row,
}

// C += A B for four k, row after row: each row of A is passed around the quad before the next.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  let rows0 = transpose(a.p0);
  let rows1 = transpose(a.p1);
  (*t).r00 = row_rank4(rows0[0], b, (*t).r00);
  (*t).r10 = row_rank4(quadSwapX(rows0[0]), b, (*t).r10);
  (*t).r20 = row_rank4(quadSwapY(rows0[0]), b, (*t).r20);
  (*t).r30 = row_rank4(quadSwapDiagonal(rows0[0]), b, (*t).r30);
  (*t).r01 = row_rank4(rows0[1], b, (*t).r01);
  (*t).r11 = row_rank4(quadSwapX(rows0[1]), b, (*t).r11);
  (*t).r21 = row_rank4(quadSwapY(rows0[1]), b, (*t).r21);
  (*t).r31 = row_rank4(quadSwapDiagonal(rows0[1]), b, (*t).r31);
  (*t).r02 = row_rank4(rows0[2], b, (*t).r02);
  (*t).r12 = row_rank4(quadSwapX(rows0[2]), b, (*t).r12);
  (*t).r22 = row_rank4(quadSwapY(rows0[2]), b, (*t).r22);
  (*t).r32 = row_rank4(quadSwapDiagonal(rows0[2]), b, (*t).r32);
  (*t).r03 = row_rank4(rows0[3], b, (*t).r03);
  (*t).r13 = row_rank4(quadSwapX(rows0[3]), b, (*t).r13);
  (*t).r23 = row_rank4(quadSwapY(rows0[3]), b, (*t).r23);
  (*t).r33 = row_rank4(quadSwapDiagonal(rows0[3]), b, (*t).r33);
  (*t).r04 = row_rank4(rows1[0], b, (*t).r04);
  (*t).r14 = row_rank4(quadSwapX(rows1[0]), b, (*t).r14);
  (*t).r24 = row_rank4(quadSwapY(rows1[0]), b, (*t).r24);
  (*t).r34 = row_rank4(quadSwapDiagonal(rows1[0]), b, (*t).r34);
  (*t).r05 = row_rank4(rows1[1], b, (*t).r05);
  (*t).r15 = row_rank4(quadSwapX(rows1[1]), b, (*t).r15);
  (*t).r25 = row_rank4(quadSwapY(rows1[1]), b, (*t).r25);
  (*t).r35 = row_rank4(quadSwapDiagonal(rows1[1]), b, (*t).r35);
  (*t).r06 = row_rank4(rows1[2], b, (*t).r06);
  (*t).r16 = row_rank4(quadSwapX(rows1[2]), b, (*t).r16);
  (*t).r26 = row_rank4(quadSwapY(rows1[2]), b, (*t).r26);
  (*t).r36 = row_rank4(quadSwapDiagonal(rows1[2]), b, (*t).r36);
  (*t).r07 = row_rank4(rows1[3], b, (*t).r07);
  (*t).r17 = row_rank4(quadSwapX(rows1[3]), b, (*t).r17);
  (*t).r27 = row_rank4(quadSwapY(rows1[3]), b, (*t).r27);
  (*t).r37 = row_rank4(quadSwapDiagonal(rows1[3]), b, (*t).r37);
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a: ColumnA, b: Row) {
  (*t).r00 = row_rank1(a.p0.x, b, (*t).r00);
  (*t).r01 = row_rank1(a.p0.y, b, (*t).r01);
  (*t).r02 = row_rank1(a.p0.z, b, (*t).r02);
  (*t).r03 = row_rank1(a.p0.w, b, (*t).r03);
  (*t).r04 = row_rank1(a.p1.x, b, (*t).r04);
  (*t).r05 = row_rank1(a.p1.y, b, (*t).r05);
  (*t).r06 = row_rank1(a.p1.z, b, (*t).r06);
  (*t).r07 = row_rank1(a.p1.w, b, (*t).r07);
  let x0 = quadSwapX(a.p0);
  (*t).r10 = row_rank1(x0.x, b, (*t).r10);
  (*t).r11 = row_rank1(x0.y, b, (*t).r11);
  (*t).r12 = row_rank1(x0.z, b, (*t).r12);
  (*t).r13 = row_rank1(x0.w, b, (*t).r13);
  let x1 = quadSwapX(a.p1);
  (*t).r14 = row_rank1(x1.x, b, (*t).r14);
  (*t).r15 = row_rank1(x1.y, b, (*t).r15);
  (*t).r16 = row_rank1(x1.z, b, (*t).r16);
  (*t).r17 = row_rank1(x1.w, b, (*t).r17);
  let y0 = quadSwapY(a.p0);
  (*t).r20 = row_rank1(y0.x, b, (*t).r20);
  (*t).r21 = row_rank1(y0.y, b, (*t).r21);
  (*t).r22 = row_rank1(y0.z, b, (*t).r22);
  (*t).r23 = row_rank1(y0.w, b, (*t).r23);
  let y1 = quadSwapY(a.p1);
  (*t).r24 = row_rank1(y1.x, b, (*t).r24);
  (*t).r25 = row_rank1(y1.y, b, (*t).r25);
  (*t).r26 = row_rank1(y1.z, b, (*t).r26);
  (*t).r27 = row_rank1(y1.w, b, (*t).r27);
  let diagonal0 = quadSwapDiagonal(a.p0);
  (*t).r30 = row_rank1(diagonal0.x, b, (*t).r30);
  (*t).r31 = row_rank1(diagonal0.y, b, (*t).r31);
  (*t).r32 = row_rank1(diagonal0.z, b, (*t).r32);
  (*t).r33 = row_rank1(diagonal0.w, b, (*t).r33);
  let diagonal1 = quadSwapDiagonal(a.p1);
  (*t).r34 = row_rank1(diagonal1.x, b, (*t).r34);
  (*t).r35 = row_rank1(diagonal1.y, b, (*t).r35);
  (*t).r36 = row_rank1(diagonal1.z, b, (*t).r36);
  (*t).r37 = row_rank1(diagonal1.w, b, (*t).r37);
}

// Stores through an array, although reading it is slow: named sums used after a branch slow the main loop by a tenth.
// @param row, column: panel_origin
fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  var rows = array<Row, 32>(
    (*t).r00, (*t).r01, (*t).r02, (*t).r03, (*t).r04, (*t).r05, (*t).r06, (*t).r07,
    (*t).r10, (*t).r11, (*t).r12, (*t).r13, (*t).r14, (*t).r15, (*t).r16, (*t).r17,
    (*t).r20, (*t).r21, (*t).r22, (*t).r23, (*t).r24, (*t).r25, (*t).r26, (*t).r27,
    (*t).r30, (*t).r31, (*t).r32, (*t).r33, (*t).r34, (*t).r35, (*t).r36, (*t).r37);
  for (var i = 0u; i < 32u; i++) { store_columns((row ^ (i & 24u)) + (i & 7u), column, rows[i]); }
}

// Rows of A from its vec4 index `at`, `stride4` vec4 per row, four k each.
fn panel_a_rows(at: u32, stride4: u32) -> PanelA {
  return PanelA(four_rows(at, stride4), four_rows(at + 4u * stride4, stride4));
}

// Four k of a k-major A as a panel.
fn panel_a_columns(at: u32, stride4: u32) -> PanelA {
  return PanelA(four_columns(at, stride4), four_columns(at + 1u, stride4));
}

// One k of a k-major A.
fn load_column_a(at: u32) -> ColumnA { return ColumnA(load_a(at), load_a(at + 1u)); }
