// A tile that a quad (four neighbouring invocations) computes: each loads 4 rows of A and TILE_N / 4 columns of B, and quad
// swaps exchange the rows. A load then serves four invocations, and a swap is one instruction where subgroups are vectors
// of the CPU. On SwiftShader a load of a vec4 takes about 305 instructions (lane by lane, each with a bounds check), as
// much as 60 fma. The size of a workgroup in x is a multiple of 4, and lanes are numbered along x.
// Included by tile_quad_<M>x<N>.wgsl, which define Row, PanelB and:
//   row_rank4(a: vec4f, b: PanelB, c: Row) -> Row   c + a B, four k
//   row_rank1(a: f32, b: Row, c: Row) -> Row        c + a b, one k
//   store_columns(row: u32, column: u32, c: Row)
enable subgroups;
// Control flow is uniform within a quad, which is all that a quad swap requires.
diagnostic(off, subgroup_uniformity);

const TILE_M: u32 = 16u;

// First row and column of the quad's tile.
fn tile_origin(id: vec3u) -> vec2u { return vec2u(id.y * TILE_M, (id.x >> 2u) * TILE_N); }

// First row of A and first column of B that this invocation loads.
fn panel_origin(id: vec3u) -> vec2u { return tile_origin(id) + (id.x & 3u) * vec2u(4u, TILE_N / 4u); }

// The invocation's 4 rows of A at four consecutive k: p0[kk] holds them at k + kk.
struct PanelA {
  p0: mat4x4f,
}

// A row of the tile is the invocation's columns of one row of C. r<X><I> is row I of the 4 rows received by swap X: 0 none,
// 1 x, 2 y, 3 diagonal. Members are named and not an array, because an array indexed by a loop variable would not stay in
// registers.
struct Tile {
  r00: Row, r01: Row, r02: Row, r03: Row,
  r10: Row, r11: Row, r12: Row, r13: Row,
  r20: Row, r21: Row, r22: Row, r23: Row,
  r30: Row, r31: Row, r32: Row, r33: Row,
}

// Four columns of a row, four k: c + a B. It is computed column by column, so that one sum at a time stays in a register
// from k to k. B is the first factor: SwiftShader copies the first factor of a product, and if that is A, which all columns
// share, every copy waits for the previous one (512^3: 42 % of the FMA ceiling; as vec4 38 %; with B first 48 %).
fn four_rank4(a: vec4f, b: mat4x4f, c: vec4f) -> vec4f {
  return vec4f(
    fma(b[3].x, a.w, fma(b[2].x, a.z, fma(b[1].x, a.y, fma(b[0].x, a.x, c.x)))),
    fma(b[3].y, a.w, fma(b[2].y, a.z, fma(b[1].y, a.y, fma(b[0].y, a.x, c.y)))),
    fma(b[3].z, a.w, fma(b[2].z, a.z, fma(b[1].z, a.y, fma(b[0].z, a.x, c.z)))),
    fma(b[3].w, a.w, fma(b[2].w, a.z, fma(b[1].w, a.y, fma(b[0].w, a.x, c.w)))));
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
fn tile_rank1(t: ptr<function, Tile>, a: vec4f, b: Row) {
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
fn panel_a_rows(at: u32, stride4: u32) -> PanelA {
  return PanelA(transpose(mat4x4f(load_a(at), load_a(at + stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4))));
}

// Four k of a k-major A as a panel.
fn panel_a_columns(at: u32, stride4: u32) -> PanelA {
  return PanelA(mat4x4f(load_a(at), load_a(at + stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4)));
}
