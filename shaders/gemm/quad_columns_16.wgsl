// The columns of a tile of a quad (gemm/tile_quad.wgsl): 16, of which each invocation has 4.
const TILE_N: u32 = 16u;

alias Row = vec4f;

// The invocation's 4 columns of B at four consecutive k: p0[kk] holds them at k + kk.
struct PanelB {
  p0: mat4x4f,
}

fn row_rank4(a: vec4f, b: PanelB, c: Row) -> Row { return four_rank4(a, b.p0, c); }
fn row_rank1(a: f32, b: Row, c: Row) -> Row { return fma(b, vec4f(a), c); }

fn store_columns(row: u32, column: u32, c: Row) { store_row(row, column, c); }

// Columns of B that lie in memory as rows (B transposed), four k each.
fn panel_b_rows(at: u32, stride4: u32) -> PanelB {
  return PanelB(transpose(mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4))));
}

// Four rows of a row-major B as a panel.
fn panel_b_columns(at: u32, stride4: u32) -> PanelB {
  return PanelB(mat4x4f(load_b(at), load_b(at + stride4), load_b(at + 2u * stride4), load_b(at + 3u * stride4)));
}

// Four k of B, with a separate address for every k: at<kk>.x.
fn panel_b_gather(at0: vec4u, at1: vec4u, at2: vec4u, at3: vec4u) -> PanelB {
  return PanelB(mat4x4f(load_b(at0.x), load_b(at1.x), load_b(at2.x), load_b(at3.x)));
}

// One k of a k-major A and of a row-major B.
fn tile_rank1_at(t: ptr<function, Tile>, at_a: u32, at_b: u32) { tile_rank1(t, load_column_a(at_a), load_b(at_b)); }

// One k of a k-major A, and of B with a separate address: at_b.x.
fn tile_rank1_gather(t: ptr<function, Tile>, at_a: u32, at_b: vec4u) { tile_rank1(t, load_column_a(at_a), load_b(at_b.x)); }
