// A 16 x 32 block of C in the registers of a quad, 8 columns an invocation: column i of c<X><S> is row i of the 4 rows that
// swap X brought (0 none, 1 x, 2 y, 3 diagonal), its components are columns 4 S .. 4 S + 3 of the 8.
// Included as <tile>. The fastest on SwiftShader: GEMM 512^3 at 41 % of the FMA ceiling, where tile_16x16.wgsl has 17 %.
const TILE_N: u32 = 32u;

#include "gemm/tile_quad.wgsl"

struct Tile {
  c00: mat4x4f, c01: mat4x4f,
  c10: mat4x4f, c11: mat4x4f,
  c20: mat4x4f, c21: mat4x4f,
  c30: mat4x4f, c31: mat4x4f,
}

// The invocation's 8 columns of B at four consecutive k: p<S>[kk] holds columns 4 S .. 4 S + 3 at k + kk.
struct PanelB {
  p0: mat4x4f, p1: mat4x4f,
}

// C += A B for four k.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  (*t).c00 = block_rank4(a.p0, b.p0, (*t).c00);
  (*t).c01 = block_rank4(a.p0, b.p1, (*t).c01);
  let x = swap_x(a.p0);
  (*t).c10 = block_rank4(x, b.p0, (*t).c10);
  (*t).c11 = block_rank4(x, b.p1, (*t).c11);
  let y = swap_y(a.p0);
  (*t).c20 = block_rank4(y, b.p0, (*t).c20);
  (*t).c21 = block_rank4(y, b.p1, (*t).c21);
  let diagonal = swap_diagonal(a.p0);
  (*t).c30 = block_rank4(diagonal, b.p0, (*t).c30);
  (*t).c31 = block_rank4(diagonal, b.p1, (*t).c31);
}

// Columns of B that lie in memory as rows (B transposed), four k each.
fn panel_b_rows(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    transpose(mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4))),
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

// Four k of B, each with a place of its own for every four columns: at<kk>[S].
fn panel_b_gather(at0: vec4u, at1: vec4u, at2: vec4u, at3: vec4u) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at0.x), load_b(at1.x), load_b(at2.x), load_b(at3.x)),
    mat4x4f(load_b(at0.y), load_b(at1.y), load_b(at2.y), load_b(at3.y)),
  );
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a: vec4f, b0: vec4f, b1: vec4f) {
  (*t).c00 = outer(a, b0, (*t).c00);
  (*t).c01 = outer(a, b1, (*t).c01);
  let x = quadSwapX(a);
  (*t).c10 = outer(x, b0, (*t).c10);
  (*t).c11 = outer(x, b1, (*t).c11);
  let y = quadSwapY(a);
  (*t).c20 = outer(y, b0, (*t).c20);
  (*t).c21 = outer(y, b1, (*t).c21);
  let diagonal = quadSwapDiagonal(a);
  (*t).c30 = outer(diagonal, b0, (*t).c30);
  (*t).c31 = outer(diagonal, b1, (*t).c31);
}

// One k of a k-major A and of a row-major B.
fn tile_rank1_at(t: ptr<function, Tile>, at_a: u32, at_b: u32) {
  tile_rank1(t, load_a(at_a), load_b(at_b), load_b(at_b + 1u));
}

// One k of a k-major A, and of B from a place of its own for every four columns.
fn tile_rank1_gather(t: ptr<function, Tile>, at_a: u32, at_b: vec4u) {
  tile_rank1(t, load_a(at_a), load_b(at_b.x), load_b(at_b.y));
}

// Through an array and one loop: the epilogue takes long to compile. @param row, column: panel_origin
fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  var cells = array<mat4x4f, 8>(
    (*t).c00, (*t).c10, (*t).c20, (*t).c30, (*t).c01, (*t).c11, (*t).c21, (*t).c31);
  for (var i = 0u; i < 32u; i++) {
    store_row((row ^ (i & 12u)) + i % 4u, column + i / 16u * 4u, cells[i / 4u][i % 4u]);
  }
}
