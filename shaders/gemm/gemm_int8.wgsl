// y[i][j] = sum over k of x[i][k] w[j][k] + b[j], with x, w and b of 8 bits and sums of 32 bits: integers, whose sums have the same bits
// in any order, on any adapter. One invocation computes 4 x 4 sums, 16 k at a time: dot4I8Packed multiplies four pairs of bytes
// that lie in one u32 each.
// b is worth BIAS / 256 sums. With CODES the sums are divided by 2^(16 + SHIFT) / MULTIPLIER, rounded half up, limited to
// -128 .. 127 (after RELU: to 0 .. 127) and stored as bytes, of which those behind the last column are 0, so that they are the x
// of the next layer, whatever the pads of its w hold.
// M, N, K: rows of x, rows of w, columns of both; STRIDE_K, STRIDE_Y: values a row, multiples of 16; K up to STRIDE_K is 0 in x.
// Bindings: x, w, b, y. Launched by recordIntegerProduct (src/kernels/gemm_int8.ts). Reference: src/reference/integer_product.ts.
@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read> w: array<vec4u>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

const VECTORS: u32 = STRIDE_K / 16u;

fn dot16(p: vec4u, q: vec4u) -> i32 {
  return dot4I8Packed(p.x, q.x) + dot4I8Packed(p.y, q.y) + dot4I8Packed(p.z, q.z) + dot4I8Packed(p.w, q.w);
}

// Four sums of one row of x.
fn row_sums(p: vec4u, q0: vec4u, q1: vec4u, q2: vec4u, q3: vec4u) -> vec4i {
  return vec4i(dot16(p, q0), dot16(p, q1), dot16(p, q2), dot16(p, q3));
}

// floor(sum * MULTIPLIER / 2^16) in 32 bits, then the rest of the division.
fn rescale(sums: vec4i) -> vec4i {
  let high = (sums >> vec4u(16u)) * vec4i(i32(MULTIPLIER));
  let low = vec4i(((vec4u(sums) & vec4u(0xffffu)) * vec4u(MULTIPLIER)) >> vec4u(16u));
  return (high + low + vec4i(i32(1u << (SHIFT - 1u)))) >> vec4u(SHIFT);
}

fn store(row: u32, group: u32, sums: vec4i) {
  if (row >= M) { return; }
  let inside = vec4u(4u * group) + vec4u(0u, 1u, 2u, 3u) < vec4u(N);
  if (CODES) {
    let codes = clamp(rescale(sums), vec4i(select(-128, 0, RELU)), vec4i(127));
    let bytes = (vec4u(select(vec4i(), codes, inside)) & vec4u(0xffu)) << vec4u(0u, 8u, 16u, 24u);
    y[row * (STRIDE_Y / 4u) + group] = bytes.x | bytes.y | bytes.z | bytes.w;
    return;
  }
  let kept = vec4u(select(vec4i(), sums, inside));
  for (var i = 0u; i < 4u; i++) { y[row * STRIDE_Y + 4u * group + i] = kept[i]; }
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let group = id.x;
  if (group >= STRIDE_Y / 4u) { return; }
  let first = 4u * id.y;
  // Rows behind the last are computed as the last and not stored; so are columns, whose sums store() drops.
  let rows = min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(M - 1u)) * VECTORS;
  let columns = min(vec4u(4u * group) + vec4u(0u, 1u, 2u, 3u), vec4u(N - 1u)) * VECTORS;
  // A bias is a byte, sign-extended, in fixed point with 8 bits of fraction.
  let biases = bitcast<vec4i>(vec4u(b[min(group, (N - 1u) / 4u)]) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u);
  let start = (biases * vec4i(i32(BIAS)) + vec4i(128)) >> vec4u(8u);
  var s0 = start;
  var s1 = start;
  var s2 = start;
  var s3 = start;
  for (var k = 0u; k < VECTORS; k++) {
    let q0 = w[columns.x + k];
    let q1 = w[columns.y + k];
    let q2 = w[columns.z + k];
    let q3 = w[columns.w + k];
    s0 += row_sums(x[rows.x + k], q0, q1, q2, q3);
    s1 += row_sums(x[rows.y + k], q0, q1, q2, q3);
    s2 += row_sums(x[rows.z + k], q0, q1, q2, q3);
    s3 += row_sums(x[rows.w + k], q0, q1, q2, q3);
  }
  store(first, group, s0);
  store(first + 1u, group, s1);
  store(first + 2u, group, s2);
  store(first + 3u, group, s3);
}
