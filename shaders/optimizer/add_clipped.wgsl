// sum += factor x, element by element: adds the clipped gradient of one example. x, sum: VECTORS vec4s. factor: one f32 from
// clip_factor.wgsl. One invocation per vec4.
// Bindings: x, factor, sum. Launched by recordAddClipped (src/kernels/private_gradient.ts).
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= VECTORS) { return; }
  sum[i] += factor[0] * x[i];
}
