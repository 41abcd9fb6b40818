// w = clamp(w, -LIMIT, LIMIT): weight clipping after a step of training, which narrows the range that a number format is
// fitted to (Stutz et al., MLSys 2021). values: VECTORS vec4, flat. One invocation per vec4.
// Bindings: values. Launched by recordClip (src/kernels/optimizer.ts).
@group(0) @binding(0) var<storage, read_write> values: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= VECTORS) { return; }
  values[i] = clamp(values[i], vec4f(-LIMIT), vec4f(LIMIT));
}
