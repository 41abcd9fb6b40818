// metrics += (sum_r results[r].x, sum_r results[r].y, ROWS, 0): sum of losses, number correct and number of rows since the
// host last zeroed it. Rows are added in order by one invocation, so the sum has the same bits every time. One invocation
// per group of ROWS rows; groups are contiguous.
// results: groups x ROWS x 2 as softmax_cross_entropy.wgsl and mse.wgsl write them. metrics: groups x 4 f32.
// Bindings: results, metrics. Launched by recordAccumulateMetrics (src/kernels/loss.ts).
@group(0) @binding(0) var<storage, read> results: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> metrics: array<vec4f>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
  var sum = vec2f();
  for (var row = 0u; row < ROWS; row++) { sum += results[group.x * ROWS + row]; }
  metrics[group.x] += vec4f(sum, f32(ROWS), 0.0);
}
