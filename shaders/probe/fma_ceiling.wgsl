// Measures how many multiply-adds an adapter can do when it does nothing else: the ceiling that GEMM is compared with.
// 16 independent vec4 accumulators c = c M + a, with four unrolled steps of each per turn of the loop, ITERATIONS turns,
// and no load or store in between: 2 x 4 x 16 x 4 = 512 floating-point operations per invocation and turn.
// out: one vec4 per invocation, the sum of its accumulators, so that no compiler can remove them.
// Bindings: out. Launched by recordFmaCeiling (src/kernels/probe.ts). Reference: src/verify/kernels/probe.ts.
// The steps are unrolled because a loop carries its variables from turn to turn: with one step per turn SwiftShader reaches
// half the rate. A register tile has 16 accumulators; where they spill, as in SwiftShader's 16 registers, two accumulators
// reach twice the rate.
@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;

// Below 1, so that c stays finite however long it runs.
const M: vec4f = vec4f(0.999);

struct Accumulators {
  c0: vec4f, c1: vec4f, c2: vec4f, c3: vec4f, c4: vec4f, c5: vec4f, c6: vec4f, c7: vec4f,
  c8: vec4f, c9: vec4f, c10: vec4f, c11: vec4f, c12: vec4f, c13: vec4f, c14: vec4f, c15: vec4f,
}

fn multiply_add(c: Accumulators, a: vec4f) -> Accumulators {
  return Accumulators(
    fma(c.c0, M, a), fma(c.c1, M, a), fma(c.c2, M, a), fma(c.c3, M, a),
    fma(c.c4, M, a), fma(c.c5, M, a), fma(c.c6, M, a), fma(c.c7, M, a),
    fma(c.c8, M, a), fma(c.c9, M, a), fma(c.c10, M, a), fma(c.c11, M, a),
    fma(c.c12, M, a), fma(c.c13, M, a), fma(c.c14, M, a), fma(c.c15, M, a));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let a = vec4f(f32(id.x % 64u) * 0x1p-16f);
  let x = vec4f(0.0, 0.25, 0.5, 0.75);
  var c = Accumulators(
    x, x + 0.01, x + 0.02, x + 0.03, x + 0.04, x + 0.05, x + 0.06, x + 0.07,
    x + 0.08, x + 0.09, x + 0.1, x + 0.11, x + 0.12, x + 0.13, x + 0.14, x + 0.15);
  for (var i = 0u; i < ITERATIONS; i++) {
    c = multiply_add(multiply_add(multiply_add(multiply_add(c, a), a), a), a);
  }
  out[id.x] = c.c0 + c.c1 + c.c2 + c.c3 + c.c4 + c.c5 + c.c6 + c.c7
    + c.c8 + c.c9 + c.c10 + c.c11 + c.c12 + c.c13 + c.c14 + c.c15;
}
