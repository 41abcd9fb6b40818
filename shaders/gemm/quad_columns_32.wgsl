// The columns of a tile of a quad (gemm/tile_quad.wgsl): 32, of which each invocation has 8.
const TILE_N: u32 = 32u;

// c<S>: columns 4 S .. 4 S + 3 of the 8.
struct Row {
  c0: vec4f, c1: vec4f,
}

// The invocation's 8 columns of B at four consecutive k: p<S>[kk] holds columns 4 S .. 4 S + 3 at k + kk.
struct PanelB {
  p0: mat4x4f, p1: mat4x4f,
}

fn row_rank4(a: vec4f, b: PanelB, c: Row) -> Row { return Row(four_rank4(a, b.p0, c.c0), four_rank4(a, b.p1, c.c1)); }
fn row_rank1(a: f32, b: Row, c: Row) -> Row { return Row(fma(b.c0, vec4f(a), c.c0), fma(b.c1, vec4f(a), c.c1)); }

fn store_columns(row: u32, column: u32, c: Row) {
  store_row(row, column, c.c0);
  store_row(row, column + 4u, c.c1);
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

// Four k of B, with a separate address for every k and every four columns: at<kk>[S].
fn panel_b_gather(at0: vec4u, at1: vec4u, at2: vec4u, at3: vec4u) -> PanelB {
  return PanelB(
    mat4x4f(load_b(at0.x), load_b(at1.x), load_b(at2.x), load_b(at3.x)),
    mat4x4f(load_b(at0.y), load_b(at1.y), load_b(at2.y), load_b(at3.y)),
  );
}

// One k of a k-major A and of a row-major B.
fn tile_rank1_at(t: ptr<function, Tile>, at_a: u32, at_b: u32) {
  tile_rank1(t, load_column_a(at_a), Row(load_b(at_b), load_b(at_b + 1u)));
}

// One k of a k-major A, and of B with a separate address for every four columns.
fn tile_rank1_gather(t: ptr<function, Tile>, at_a: u32, at_b: vec4u) {
  tile_rank1(t, load_column_a(at_a), Row(load_b(at_b.x), load_b(at_b.y)));
}
