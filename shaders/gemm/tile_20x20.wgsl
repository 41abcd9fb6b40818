// A 20 x 20 block of C in registers, as 5 x 5 matrices of 4 x 4. Column i of c<R><S> is row 4R + i of the block and its
// components are columns 4S .. 4S + 3, so one fma on a vec4 updates four outputs of a row. For M or N just above 16 or 32.
// Members are named, not an array: an array indexed by a loop variable would leave the registers.
// Included by the register-tile GEMMs as <tile>.
const TILE_M: u32 = 20u;
const TILE_N: u32 = 20u;

struct Tile {
  c00: mat4x4f, c01: mat4x4f, c02: mat4x4f, c03: mat4x4f, c04: mat4x4f,
  c10: mat4x4f, c11: mat4x4f, c12: mat4x4f, c13: mat4x4f, c14: mat4x4f,
  c20: mat4x4f, c21: mat4x4f, c22: mat4x4f, c23: mat4x4f, c24: mat4x4f,
  c30: mat4x4f, c31: mat4x4f, c32: mat4x4f, c33: mat4x4f, c34: mat4x4f,
  c40: mat4x4f, c41: mat4x4f, c42: mat4x4f, c43: mat4x4f, c44: mat4x4f,
}

// 20 rows of A at four consecutive k: p<R>[kk] holds rows 4R .. 4R + 3 at k + kk.
struct PanelA {
  p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f, p4: mat4x4f,
}

// 20 columns of B at four consecutive k: p<S>[kk] holds columns 4S .. 4S + 3 at k + kk.
struct PanelB {
  p0: mat4x4f, p1: mat4x4f, p2: mat4x4f, p3: mat4x4f, p4: mat4x4f,
}

fn outer(a: vec4f, b: vec4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(fma(vec4f(a.x), b, c[0]), fma(vec4f(a.y), b, c[1]), fma(vec4f(a.z), b, c[2]), fma(vec4f(a.w), b, c[3]));
}

// C += a b^T for one k.
fn tile_rank1(t: ptr<function, Tile>, a0: vec4f, a1: vec4f, a2: vec4f, a3: vec4f, a4: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f, b4: vec4f) {
  (*t).c00 = outer(a0, b0, (*t).c00);
  (*t).c01 = outer(a0, b1, (*t).c01);
  (*t).c02 = outer(a0, b2, (*t).c02);
  (*t).c03 = outer(a0, b3, (*t).c03);
  (*t).c04 = outer(a0, b4, (*t).c04);
  (*t).c10 = outer(a1, b0, (*t).c10);
  (*t).c11 = outer(a1, b1, (*t).c11);
  (*t).c12 = outer(a1, b2, (*t).c12);
  (*t).c13 = outer(a1, b3, (*t).c13);
  (*t).c14 = outer(a1, b4, (*t).c14);
  (*t).c20 = outer(a2, b0, (*t).c20);
  (*t).c21 = outer(a2, b1, (*t).c21);
  (*t).c22 = outer(a2, b2, (*t).c22);
  (*t).c23 = outer(a2, b3, (*t).c23);
  (*t).c24 = outer(a2, b4, (*t).c24);
  (*t).c30 = outer(a3, b0, (*t).c30);
  (*t).c31 = outer(a3, b1, (*t).c31);
  (*t).c32 = outer(a3, b2, (*t).c32);
  (*t).c33 = outer(a3, b3, (*t).c33);
  (*t).c34 = outer(a3, b4, (*t).c34);
  (*t).c40 = outer(a4, b0, (*t).c40);
  (*t).c41 = outer(a4, b1, (*t).c41);
  (*t).c42 = outer(a4, b2, (*t).c42);
  (*t).c43 = outer(a4, b3, (*t).c43);
  (*t).c44 = outer(a4, b4, (*t).c44);
}

// C += A B for four k.
fn tile_rank4(t: ptr<function, Tile>, a: PanelA, b: PanelB) {
  tile_rank1(t, a.p0[0], a.p1[0], a.p2[0], a.p3[0], a.p4[0], b.p0[0], b.p1[0], b.p2[0], b.p3[0], b.p4[0]);
  tile_rank1(t, a.p0[1], a.p1[1], a.p2[1], a.p3[1], a.p4[1], b.p0[1], b.p1[1], b.p2[1], b.p3[1], b.p4[1]);
  tile_rank1(t, a.p0[2], a.p1[2], a.p2[2], a.p3[2], a.p4[2], b.p0[2], b.p1[2], b.p2[2], b.p3[2], b.p4[2]);
  tile_rank1(t, a.p0[3], a.p1[3], a.p2[3], a.p3[3], a.p4[3], b.p0[3], b.p1[3], b.p2[3], b.p3[3], b.p4[3]);
}

// Rows of A from its vec4 index `at`, `stride4` vec4 a row, four k each.
fn panel_a_rows(at: u32, stride4: u32) -> PanelA {
  return PanelA(
    transpose(mat4x4f(load_a(at), load_a(at + 1u * stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4))),
    transpose(mat4x4f(load_a(at + 4u * stride4), load_a(at + 5u * stride4), load_a(at + 6u * stride4), load_a(at + 7u * stride4))),
    transpose(mat4x4f(load_a(at + 8u * stride4), load_a(at + 9u * stride4), load_a(at + 10u * stride4), load_a(at + 11u * stride4))),
    transpose(mat4x4f(load_a(at + 12u * stride4), load_a(at + 13u * stride4), load_a(at + 14u * stride4), load_a(at + 15u * stride4))),
    transpose(mat4x4f(load_a(at + 16u * stride4), load_a(at + 17u * stride4), load_a(at + 18u * stride4), load_a(at + 19u * stride4))),
  );
}

// Columns of B that lie in memory as rows (B transposed), four k each.
fn panel_b_rows(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    transpose(mat4x4f(load_b(at), load_b(at + 1u * stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4))),
    transpose(mat4x4f(load_b(at + 4u * stride4), load_b(at + 5u * stride4), load_b(at + 6u * stride4), load_b(at + 7u * stride4))),
    transpose(mat4x4f(load_b(at + 8u * stride4), load_b(at + 9u * stride4), load_b(at + 10u * stride4), load_b(at + 11u * stride4))),
    transpose(mat4x4f(load_b(at + 12u * stride4), load_b(at + 13u * stride4), load_b(at + 14u * stride4), load_b(at + 15u * stride4))),
    transpose(mat4x4f(load_b(at + 16u * stride4), load_b(at + 17u * stride4), load_b(at + 18u * stride4), load_b(at + 19u * stride4))),
  );
}

// One k of A from a k-major A and of B from a row-major B: both contiguous.
fn tile_rank1_at(t: ptr<function, Tile>, at_a: u32, at_b: u32) {
  tile_rank1(t, load_a(at_a), load_a(at_a + 1u), load_a(at_a + 2u), load_a(at_a + 3u), load_a(at_a + 4u), load_b(at_b), load_b(at_b + 1u), load_b(at_b + 2u), load_b(at_b + 3u), load_b(at_b + 4u));
}

// Four rows of a row-major B as a panel.
fn panel_b_columns(at: u32, stride4: u32) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4)),
    mat4x4f(load_b(at + 1u), load_b(at + stride4 + 1u), load_b(at + 2u * stride4 + 1u), load_b(at + 3u * stride4 + 1u)),
    mat4x4f(load_b(at + 2u), load_b(at + stride4 + 2u), load_b(at + 2u * stride4 + 2u), load_b(at + 3u * stride4 + 2u)),
    mat4x4f(load_b(at + 3u), load_b(at + stride4 + 3u), load_b(at + 2u * stride4 + 3u), load_b(at + 3u * stride4 + 3u)),
    mat4x4f(load_b(at + 4u), load_b(at + stride4 + 4u), load_b(at + 2u * stride4 + 4u), load_b(at + 3u * stride4 + 4u)),
  );
}

fn tile_store(t: ptr<function, Tile>, row: u32, column: u32) {
  store_block(row + 0u, column + 0u, (*t).c00);
  store_block(row + 0u, column + 4u, (*t).c01);
  store_block(row + 0u, column + 8u, (*t).c02);
  store_block(row + 0u, column + 12u, (*t).c03);
  store_block(row + 0u, column + 16u, (*t).c04);
  store_block(row + 4u, column + 0u, (*t).c10);
  store_block(row + 4u, column + 4u, (*t).c11);
  store_block(row + 4u, column + 8u, (*t).c12);
  store_block(row + 4u, column + 12u, (*t).c13);
  store_block(row + 4u, column + 16u, (*t).c14);
  store_block(row + 8u, column + 0u, (*t).c20);
  store_block(row + 8u, column + 4u, (*t).c21);
  store_block(row + 8u, column + 8u, (*t).c22);
  store_block(row + 8u, column + 12u, (*t).c23);
  store_block(row + 8u, column + 16u, (*t).c24);
  store_block(row + 12u, column + 0u, (*t).c30);
  store_block(row + 12u, column + 4u, (*t).c31);
  store_block(row + 12u, column + 8u, (*t).c32);
  store_block(row + 12u, column + 12u, (*t).c33);
  store_block(row + 12u, column + 16u, (*t).c34);
  store_block(row + 16u, column + 0u, (*t).c40);
  store_block(row + 16u, column + 4u, (*t).c41);
  store_block(row + 16u, column + 8u, (*t).c42);
  store_block(row + 16u, column + 12u, (*t).c43);
  store_block(row + 16u, column + 16u, (*t).c44);
}
