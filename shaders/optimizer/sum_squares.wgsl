// partial[p] = sum of |v|^2 over the vec4s p, p + PARTIALS, p + 2 PARTIALS, ... of x: the first of two stages of the norm of a
// flat gradient, in a fixed order. x: VECTORS vec4s, zero in pads. partial: PARTIALS f32. One invocation per partial sum.
// Bindings: x, partial. Launched by recordAddClipped (src/kernels/private_gradient.ts).
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let p = id.x + id.y * GRID_WIDTH;
  if (p >= PARTIALS) { return; }
  var sums = vec4f();
  for (var i = p; i < VECTORS; i += PARTIALS) {
    let v = x[i];
    sums += v * v;
  }
  partial[p] = (sums.x + sums.y) + (sums.z + sums.w);
}
