// The rows of a tile of a quad: 16, of which each invocation loads 4.
const TILE_M: u32 = 16u;

#include "gemm/tile_quad.wgsl"

// The invocation's 4 rows of A at four consecutive k: p0[kk] holds them at k + kk.
struct PanelA {
  p0: mat4x4f,
}

// The same at one k.
alias ColumnA = vec4f;

// A row of the tile is the invocation's columns of one row of C. r<X><I> is row I of the 4 rows received by swap X: 0 none,
// 1 x, 2 y, 3 diagonal. Members are named and not an array, because an array indexed by a loop variable would not stay in
// registers.
struct Tile {
  r00: Row, r01: Row, r02: Row, r03: Row,
  r10: Row, r11: Row, r12: Row, r13: Row,
  r20: Row, r21: Row, r22: Row, r23: Row,
  r30: Row, r31: Row, r32: Row, r33: Row,
}

// C += A B for four k, row after row: each row of A is passed around the quad before the next.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  let rows = transpose(a.p0);
  (*t).r00 = row_rank4(rows[0], b, (*t).r00);
  (*t).r10 = row_rank4(quadSwapX(rows[0]), b, (*t).r10);
  (*t).r20 = row_rank4(quadSwapY(rows[0]), b, (*t).r20);
  (*t).r30 = row_rank4(quadSwapDiagonal(rows[0]), b, (*t).r30);
  (*t).r01 = row_rank4(rows[1], b, (*t).r01);
  (*t).r11 = row_rank4(quadSwapX(rows[1]), b, (*t).r11);
  (*t).r21 = row_rank4(quadSwapY(rows[1]), b, (*t).r21);
  (*t).r31 = row_rank4(quadSwapDiagonal(rows[1]), b, (*t).r31);
  (*t).r02 = row_rank4(rows[2], b, (*t).r02);
  (*t).r12 = row_rank4(quadSwapX(rows[2]), b, (*t).r12);
  (*t).r22 = row_rank4(quadSwapY(rows[2]), b, (*t).r22);
  (*t).r32 = row_rank4(quadSwapDiagonal(rows[2]), b, (*t).r32);
  (*t).r03 = row_rank4(rows[3], b, (*t).r03);
  (*t).r13 = row_rank4(quadSwapX(rows[3]), b, (*t).r13);
  (*t).r23 = row_rank4(quadSwapY(rows[3]), b, (*t).r23);
  (*t).r33 = row_rank4(quadSwapDiagonal(rows[3]), b, (*t).r33);
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a: ColumnA, b: Row) {
  (*t).r00 = row_rank1(a.x, b, (*t).r00);
  (*t).r01 = row_rank1(a.y, b, (*t).r01);
  (*t).r02 = row_rank1(a.z, b, (*t).r02);
  (*t).r03 = row_rank1(a.w, b, (*t).r03);
  let x = quadSwapX(a);
  (*t).r10 = row_rank1(x.x, b, (*t).r10);
  (*t).r11 = row_rank1(x.y, b, (*t).r11);
  (*t).r12 = row_rank1(x.z, b, (*t).r12);
  (*t).r13 = row_rank1(x.w, b, (*t).r13);
  let y = quadSwapY(a);
  (*t).r20 = row_rank1(y.x, b, (*t).r20);
  (*t).r21 = row_rank1(y.y, b, (*t).r21);
  (*t).r22 = row_rank1(y.z, b, (*t).r22);
  (*t).r23 = row_rank1(y.w, b, (*t).r23);
  let diagonal = quadSwapDiagonal(a);
  (*t).r30 = row_rank1(diagonal.x, b, (*t).r30);
  (*t).r31 = row_rank1(diagonal.y, b, (*t).r31);
  (*t).r32 = row_rank1(diagonal.z, b, (*t).r32);
  (*t).r33 = row_rank1(diagonal.w, b, (*t).r33);
}

// Stores through an array, although reading it is slow: named sums used after a branch slow the main loop by a tenth.
// @param row, column: panel_origin
fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  var rows = array<Row, 16>(
    (*t).r00, (*t).r01, (*t).r02, (*t).r03, (*t).r10, (*t).r11, (*t).r12, (*t).r13,
    (*t).r20, (*t).r21, (*t).r22, (*t).r23, (*t).r30, (*t).r31, (*t).r32, (*t).r33);
  for (var i = 0u; i < 16u; i++) { store_columns((row ^ (i & 12u)) + (i & 3u), column, rows[i]); }
}

// Rows of A from its vec4 index `at`, `stride4` vec4 per row, four k each.
fn panel_a_rows(at: u32, stride4: u32) -> PanelA { return PanelA(four_rows(at, stride4)); }

// Four k of a k-major A as a panel.
fn panel_a_columns(at: u32, stride4: u32) -> PanelA { return PanelA(four_columns(at, stride4)); }

// One k of a k-major A.
fn load_column_a(at: u32) -> ColumnA { return load_a(at); }
