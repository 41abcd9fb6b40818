// A tile that a quad computes, four neighbouring invocations: each loads 4 rows of A and TILE_N / 4 columns of B, and the
// rows go round by quad swaps. A load serves four invocations that way, and a swap is one instruction where subgroups are
// vectors of the CPU; on SwiftShader a load is some 75 instructions (lane by lane, each with its bound), as dear as 20 fma.
// A workgroup's x is a multiple of 4, and lanes are numbered along it.
// Included by tile_quad_<M>x<N>.wgsl.
enable subgroups;
// What decides is the same for all of a quad, which is all that a swap asks for.
diagnostic(off, subgroup_uniformity);

const TILE_M: u32 = 16u;

// First row and column of the quad's tile.
fn tile_origin(id: vec3u) -> vec2u { return vec2u(id.y * TILE_M, id.x / 4u * TILE_N); }

// First row of A and first column of B that this invocation loads.
fn panel_origin(id: vec3u) -> vec2u { return tile_origin(id) + id.x % 4u * vec2u(4u, TILE_N / 4u); }

// The invocation's 4 rows of A at four consecutive k: p0[kk] holds them at k + kk.
struct PanelA {
  p0: mat4x4f,
}

// The same of the invocation beside, below and diagonally across.
fn swap_x(p: mat4x4f) -> mat4x4f { return mat4x4f(quadSwapX(p[0]), quadSwapX(p[1]), quadSwapX(p[2]), quadSwapX(p[3])); }
fn swap_y(p: mat4x4f) -> mat4x4f { return mat4x4f(quadSwapY(p[0]), quadSwapY(p[1]), quadSwapY(p[2]), quadSwapY(p[3])); }
fn swap_diagonal(p: mat4x4f) -> mat4x4f {
  return mat4x4f(quadSwapDiagonal(p[0]), quadSwapDiagonal(p[1]), quadSwapDiagonal(p[2]), quadSwapDiagonal(p[3]));
}

// One row of C, four columns, four k. Column by column, so that one sum at a time is in a register from k to k: as vec4 it
// is a tenth slower on SwiftShader.
fn row_rank4(a0: f32, a1: f32, a2: f32, a3: f32, b: mat4x4f, c: vec4f) -> vec4f {
  return vec4f(
    fma(a3, b[3].x, fma(a2, b[2].x, fma(a1, b[1].x, fma(a0, b[0].x, c.x)))),
    fma(a3, b[3].y, fma(a2, b[2].y, fma(a1, b[1].y, fma(a0, b[0].y, c.y)))),
    fma(a3, b[3].z, fma(a2, b[2].z, fma(a1, b[1].z, fma(a0, b[0].z, c.z)))),
    fma(a3, b[3].w, fma(a2, b[2].w, fma(a1, b[1].w, fma(a0, b[0].w, c.w)))));
}

// C + A B: 4 rows, 4 columns, four k.
fn block_rank4(a: mat4x4f, b: mat4x4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(
    row_rank4(a[0].x, a[1].x, a[2].x, a[3].x, b, c[0]),
    row_rank4(a[0].y, a[1].y, a[2].y, a[3].y, b, c[1]),
    row_rank4(a[0].z, a[1].z, a[2].z, a[3].z, b, c[2]),
    row_rank4(a[0].w, a[1].w, a[2].w, a[3].w, b, c[3]));
}

// C + a b^T: 4 rows, 4 columns, one k.
fn outer(a: vec4f, b: vec4f, c: mat4x4f) -> mat4x4f {
  return mat4x4f(fma(vec4f(a.x), b, c[0]), fma(vec4f(a.y), b, c[1]), fma(vec4f(a.z), b, c[2]), fma(vec4f(a.w), b, c[3]));
}

// Rows of A from its vec4 index `at`, `stride4` vec4 a row, four k each.
fn panel_a_rows(at: u32, stride4: u32) -> PanelA {
  return PanelA(transpose(mat4x4f(load_a(at), load_a(at + stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4))));
}

// Four k of a k-major A as a panel.
fn panel_a_columns(at: u32, stride4: u32) -> PanelA {
  return PanelA(mat4x4f(load_a(at), load_a(at + stride4), load_a(at + 2u * stride4), load_a(at + 3u * stride4)));
}
