// A 8 x 8 block of C in registers, as 2 x 2 matrices of 4 x 4. Column i of c<R><S> is row 4R + i of the block and its
// components are columns 4S .. 4S + 3, so one fma on a vec4 updates four outputs of a row. For small matrices, and
// for GPUs where 256 accumulators per thread would spill.
// Members are named and not an array, because an array indexed by a loop variable would not stay in registers.
// Included by the register-tile GEMMs as <tile>.
const TILE_M: u32 = 8u;
const TILE_N: u32 = 8u;

#include "gemm/tile_alone.wgsl"

struct Tile {
  c00: mat4x4f, c01: mat4x4f,
  c10: mat4x4f, c11: mat4x4f,
}

// 8 rows of A at four consecutive k: p<R>[kk] holds rows 4R .. 4R + 3 at k + kk.
struct PanelA {
  p0: mat4x4f, p1: mat4x4f,
}

// 8 columns of B at four consecutive k: p<S>[kk] holds columns 4S .. 4S + 3 at k + kk.
struct PanelB {
  p0: mat4x4f, p1: mat4x4f,
}

fn outer(a: vec4f, b: vec4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(fma(vec4f(a.x), b, c[0]), fma(vec4f(a.y), b, c[1]), fma(vec4f(a.z), b, c[2]), fma(vec4f(a.w), b, c[3]));
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a0: vec4f, a1: vec4f, b0: vec4f, b1: vec4f) {
  (*t).c00 = outer(a0, b0, (*t).c00);
  (*t).c01 = outer(a0, b1, (*t).c01);
  (*t).c10 = outer(a1, b0, (*t).c10);
  (*t).c11 = outer(a1, b1, (*t).c11);
}

// C += A B for four k.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  tile_rank1(t, a.p0[0], a.p1[0], b.p0[0], b.p1[0]);
  tile_rank1(t, a.p0[1], a.p1[1], b.p0[1], b.p1[1]);
  tile_rank1(t, a.p0[2], a.p1[2], b.p0[2], b.p1[2]);
  tile_rank1(t, a.p0[3], a.p1[3], b.p0[3], b.p1[3]);
}

// Rows of A from its vec4 index `at`, `stride4` vec4 per row, four k each.
fn panel_a_rows(at: u32, stride4: u32) -> PanelA {
  return PanelA(
    transpose(mat4x4f(load_a(at), load_a(at + 1u * stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4))),
    transpose(mat4x4f(load_a(at + 4u * stride4), load_a(at + 5u * stride4), load_a(at + 6u * stride4), load_a(at + 7u * stride4))),
  );
}

// Four k of a k-major A as a panel.
fn panel_a_columns(at: u32, stride4: u32) -> PanelA {
  return PanelA(
    mat4x4f(load_a(at), load_a(at + stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4)),
    mat4x4f(load_a(at + 1u), load_a(at + stride4 + 1u), load_a(at + 2u * stride4 + 1u), load_a(at + 3u * stride4 + 1u)),
  );
}

// Columns of B that lie in memory as rows (B transposed), four k each.
fn panel_b_rows(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    transpose(mat4x4f(load_b(at), load_b(at + 1u * stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4))),
    transpose(mat4x4f(load_b(at + 4u * stride4), load_b(at + 5u * stride4), load_b(at + 6u * stride4), load_b(at + 7u * stride4))),
  );
}

// One k of A from a k-major A and of B from a row-major B: both contiguous.
fn tile_rank1_at(t: ptr<function, Tile>, at_a: u32, at_b: u32) {
  tile_rank1(t, load_a(at_a), load_a(at_a + 1u), load_b(at_b), load_b(at_b + 1u));
}

// One k of a k-major A (contiguous), and of B with a separate address for every four columns.
fn tile_rank1_gather(t: ptr<function, Tile>, at_a: u32, at_b: vec4u) {
  tile_rank1(t, load_a(at_a), load_a(at_a + 1u), load_b(at_b.x), load_b(at_b.y));
}

// Four k of B, with a separate address for every k and every four columns: at<kk>[S].
fn panel_b_gather(at0: vec4u, at1: vec4u, at2: vec4u, at3: vec4u) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at0.x), load_b(at1.x), load_b(at2.x), load_b(at3.x)),
    mat4x4f(load_b(at0.y), load_b(at1.y), load_b(at2.y), load_b(at3.y)),
  );
}

// Four rows of a row-major B as a panel.
fn panel_b_columns(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4)),
    mat4x4f(load_b(at + 1u), load_b(at + stride4 + 1u), load_b(at + 2u * stride4 + 1u), load_b(at + 3u * stride4 + 1u)),
  );
}

fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  store_block(row + 0u, column + 0u, (*t).c00);
  store_block(row + 0u, column + 4u, (*t).c01);
  store_block(row + 4u, column + 0u, (*t).c10);
  store_block(row + 4u, column + 4u, (*t).c11);
}
