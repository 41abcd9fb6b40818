// A tile that a quad (four neighbouring invocations) computes: each loads TILE_M / 4 rows of A and TILE_N / 4 columns of B,
// and quad swaps exchange the rows. A load then serves four invocations, and a swap is one instruction where subgroups are
// vectors of the CPU. On SwiftShader a load of a vec4 takes about 305 instructions (lane by lane, each with a bounds check),
// as much as 60 fma. The size of a workgroup in x is a multiple of 4, and lanes are numbered along x.
// Included by gemm/quad_rows_<M>.wgsl, the rows of a tile; gemm/quad_columns_<N>.wgsl has its columns: Row, PanelB and
//   row_rank4(a: vec4f, b: PanelB, c: Row) -> Row   c + a B, four k
//   row_rank1(a: f32, b: Row, c: Row) -> Row        c + a b, one k
//   store_columns(row: u32, column: u32, c: Row)
enable subgroups;
// Control flow is uniform within a quad, which is all that a quad swap requires.
diagnostic(off, subgroup_uniformity);

// First row and column of the quad's tile.
fn tile_origin(id: vec3u) -> vec2u { return vec2u(id.y * TILE_M, (id.x >> 2u) * TILE_N); }

// First row of A and first column of B that this invocation loads.
fn panel_origin(id: vec3u) -> vec2u { return tile_origin(id) + (id.x & 3u) * vec2u(TILE_M / 4u, TILE_N / 4u); }

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

// Four k of four rows of A, from the vec4 index `at` of the first, `stride4` vec4 per row: column kk holds them at k + kk.
fn four_rows(at: u32, stride4: u32) -> mat4x4f {
  return transpose(mat4x4f(load_a(at), load_a(at + stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4)));
}

// The same of a k-major A.
fn four_columns(at: u32, stride4: u32) -> mat4x4f {
  return mat4x4f(load_a(at), load_a(at + stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4));
}
