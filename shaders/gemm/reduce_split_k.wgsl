// C[m, n] = act(sum_z partial[z, m, n] + bias[n]), slices added in order of z: the second half of a split-K GEMM.
// partial is SPLIT_K x M x STRIDE_C, C is M x N with stride STRIDE_C and zero pads; the BATCH products of each are
// contiguous, and biases lie BATCH_BIAS vec4 apart. One invocation per vec4.
// Bindings: partial, bias, c. Launched by recordSplitReduction (src/kernels/gemm.ts).
@group(0) @binding(0) var<storage, read> partial: array<vec4f>;
@group(0) @binding(1) var<storage, read> bias: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

fn load_bias(i: u32) -> vec4f { return bias[i]; }

#include "gemm/epilogue.wgsl"

// Number of vec4 of one C.
const SIZE: u32 = M * STRIDE_C / 4u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x + id.y * GRID_WIDTH;
  if (at >= BATCH * SIZE) { return; }
  let product = at / SIZE;
  let first = product * SPLIT_K * SIZE + at % SIZE;
  var sum = vec4f();
  for (var z = 0u; z < SPLIT_K; z++) { sum += partial[z * SIZE + first]; }
  let column4 = at % (STRIDE_C / 4u);
  let columns = vec4u(column4 * 4u) + vec4u(0u, 1u, 2u, 3u);
  c[at] = select(vec4f(), epilogue(sum, product * BATCH_BIAS + column4), columns < vec4u(N));
}
