// factor = min(1, LIMIT / norm), norm = sqrt(sum of partial): what scales a gradient to a norm of at most LIMIT. One invocation.
// partial: PARTIALS f32 from sum_squares.wgsl. factor: one f32.
// Bindings: partial, factor. Launched by recordAddClipped (src/kernels/private_gradient.ts).
@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read_write> factor: array<f32>;

@compute @workgroup_size(1)
fn main() {
  var sum = 0.0;
  for (var p = 0u; p < PARTIALS; p++) { sum += partial[p]; }
  let norm = sqrt(sum);
  factor[0] = select(LIMIT / norm, 1.0, norm <= LIMIT);
}
