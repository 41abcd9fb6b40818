// output[i] = input[i]: measures how fast an adapter moves bytes when it does nothing else.
// input, output: VECTORS vec4, flat. One invocation per vec4.
// Bindings: input, output. Launched by recordCopy (src/kernels/probe.ts).
@group(0) @binding(0) var<storage, read> input: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> output: array<vec4u>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= VECTORS) { return; }
  output[i] = input[i];
}
