// A 8 x 16 block of C in registers, as 2 x 4 matrices of 4 x 4. Column i of c<R><S> is row 4R + i of the block and its
// components are columns 4S .. 4S + 3, so one fma on a vec4 updates four outputs of a row. For up to 8 rows.
// Members are named, not an array: an array indexed by a loop variable would leave the registers.
// Included by register-tile kernels as <tile>.
const TILE_M: u32 = 8u;
const TILE_N: u32 = 16u;

#include "gemm/tile_alone.wgsl"

struct Tile {
  c00: mat4x4f, c01: mat4x4f, c02: mat4x4f, c03: mat4x4f,
  c10: mat4x4f, c11: mat4x4f, c12: mat4x4f, c13: mat4x4f,
}

// 8 rows of A at four consecutive k: p<R>[kk] holds rows 4R .. 4R + 3 at k + kk.
struct PanelA {
  p0: mat4x4f, p1: mat4x4f,
}

// 16 columns of B at four consecutive k: p<S>[kk] holds columns 4S .. 4S + 3 at k + kk.
struct PanelB {
  p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f,
}

fn outer(a: vec4f, b: vec4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(fma(vec4f(a.x), b, c[0]), fma(vec4f(a.y), b, c[1]), fma(vec4f(a.z), b, c[2]), fma(vec4f(a.w), b, c[3]));
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a0: vec4f, a1: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) {
  (*t).c00 = outer(a0, b0, (*t).c00);
  (*t).c01 = outer(a0, b1, (*t).c01);
  (*t).c02 = outer(a0, b2, (*t).c02);
  (*t).c03 = outer(a0, b3, (*t).c03);
  (*t).c10 = outer(a1, b0, (*t).c10);
  (*t).c11 = outer(a1, b1, (*t).c11);
  (*t).c12 = outer(a1, b2, (*t).c12);
  (*t).c13 = outer(a1, b3, (*t).c13);
}

// C += A B for four k.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  tile_rank1(t, a.p0[0], a.p1[0], b.p0[0], b.p1[0], b.p2[0], b.p3[0]);
  tile_rank1(t, a.p0[1], a.p1[1], b.p0[1], b.p1[1], b.p2[1], b.p3[1]);
  tile_rank1(t, a.p0[2], a.p1[2], b.p0[2], b.p1[2], b.p2[2], b.p3[2]);
  tile_rank1(t, a.p0[3], a.p1[3], b.p0[3], b.p1[3], b.p2[3], b.p3[3]);
}

// One k of A from a k-major A and of B from a row-major B: both contiguous.
fn tile_rank1_at(t: ptr<function, Tile>, at_a: u32, at_b: u32) {
  tile_rank1(t, load_a(at_a), load_a(at_a + 1u), load_b(at_b), load_b(at_b + 1u), load_b(at_b + 2u), load_b(at_b + 3u));
}

// One k of A from a k-major A, contiguous, and of B from a place of its own for every four columns.
fn tile_rank1_gather(t: ptr<function, Tile>, at_a: u32, at_b: vec4u) {
  tile_rank1(t, load_a(at_a), load_a(at_a + 1u), load_b(at_b.x), load_b(at_b.y), load_b(at_b.z), load_b(at_b.w));
}

fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  var cells: array<vec4f, 32>;
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
  for (var i = 0u; i < 32u; i++) { store_row(row + i / 4u, column + 4u * (i % 4u), cells[i]); }
}
