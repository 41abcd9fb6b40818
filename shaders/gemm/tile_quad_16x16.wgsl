// A 16 x 16 block of C in the registers of a quad, 4 columns an invocation: column i of c<X> is row i of the 4 rows that
// swap X brought (0 none, 1 x, 2 y, 3 diagonal), its components are the 4 columns.
// Included as <tile>. On SwiftShader, GEMM 512^3: twice as fast as tile_16x16.wgsl, a little slower than 16 x 32.
const TILE_N: u32 = 16u;

#include "gemm/tile_quad.wgsl"

struct Tile {
  c0: mat4x4f, c1: mat4x4f, c2: mat4x4f, c3: mat4x4f,
}

// The invocation's 4 columns of B at four consecutive k: p0[kk] holds them at k + kk.
struct PanelB {
  p0: mat4x4f,
}

// C += A B for four k.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  (*t).c0 = block_rank4(a.p0, b.p0, (*t).c0);
  (*t).c1 = block_rank4(swap_x(a.p0), b.p0, (*t).c1);
  (*t).c2 = block_rank4(swap_y(a.p0), b.p0, (*t).c2);
  (*t).c3 = block_rank4(swap_diagonal(a.p0), b.p0, (*t).c3);
}

// Columns of B that lie in memory as rows (B transposed), four k each.
fn panel_b_rows(at: u32, stride4: u32) -> PanelB {
  return PanelB(transpose(mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4))));
}

// Four rows of a row-major B as a panel.
fn panel_b_columns(at: u32, stride4: u32) -> PanelB {
  return PanelB(mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4)));
}

// Four k of B, each with a place of its own for every four columns: at<kk>[S].
fn panel_b_gather(at0: vec4u, at1: vec4u, at2: vec4u, at3: vec4u) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at0.x), load_b(at1.x), load_b(at2.x), load_b(at3.x)),
  );
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a: vec4f, b: vec4f) {
  (*t).c0 = outer(a, b, (*t).c0);
  (*t).c1 = outer(quadSwapX(a), b, (*t).c1);
  (*t).c2 = outer(quadSwapY(a), b, (*t).c2);
  (*t).c3 = outer(quadSwapDiagonal(a), b, (*t).c3);
}

// One k of a k-major A and of a row-major B.
fn tile_rank1_at(t: ptr<function, Tile>, at_a: u32, at_b: u32) { tile_rank1(t, load_a(at_a), load_b(at_b)); }

// One k of a k-major A, and of B from a place of its own for every four columns.
fn tile_rank1_gather(t: ptr<function, Tile>, at_a: u32, at_b: vec4u) { tile_rank1(t, load_a(at_a), load_b(at_b.x)); }

// Through an array and one loop: the epilogue takes long to compile. @param row, column: panel_origin
fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  var cells = array<mat4x4f, 4>((*t).c0, (*t).c1, (*t).c2, (*t).c3);
  for (var i = 0u; i < 16u; i++) { store_row((row ^ (i & 12u)) + i % 4u, column, cells[i / 4u][i % 4u]); }
}
