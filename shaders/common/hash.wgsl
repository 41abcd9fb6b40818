// pcg4d: four u32 in, four u32 out, after M. Jarzynski and M. Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020,
// with a third round and a last xor-shift: with the published two rounds the low bits of consecutive counters are
// correlated (block sums of bit 0 have 0.7 of the binomial variance), which a fault map would inherit.
// Every random number of the project is this hash of counters that identify what is drawn, independent of the invocation.
// Reference: src/memory/hash.ts.
fn pcg4d_round(input: vec4u) -> vec4u {
  var v = input;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v ^ (v >> vec4u(16u));
}

fn pcg4d(input: vec4u) -> vec4u {
  return pcg4d_round(pcg4d_round(pcg4d_round(input * 1664525u + 1013904223u)));
}
