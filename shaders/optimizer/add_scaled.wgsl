// sum = SCALE value, or with ACCUMULATE sum += SCALE value, element by element. value, sum: VECTORS vec4s.
// One invocation per vec4. Bindings: value, sum. Launched by recordAddScaled (src/kernels/mi_face.ts).
@group(0) @binding(0) var<storage, read> value: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sum: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= VECTORS) { return; }
  let scaled = SCALE * value[i];
  if (ACCUMULATE) { sum[i] += scaled; } else { sum[i] = scaled; }
}
