// y = (max |x|, max x) from the partial results of max_abs.wgsl: the second stage. One invocation.
// partial: PARTIALS x 2 f32. y: 2 f32.
// Bindings: partial, y. Launched by recordMaxAbs (src/kernels/reduce.ts).
@group(0) @binding(0) var<storage, read> partial: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;

@compute @workgroup_size(1)
fn main() {
  var largest = partial[0];
  for (var p = 1u; p < PARTIALS; p++) { largest = max(largest, partial[p]); }
  y[0] = largest;
}
