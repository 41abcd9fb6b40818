// partial[p] = (max |x|, max x) over the vec4s p, p + PARTIALS, p + 2 PARTIALS, ... of x: the first of two stages.
// x: ROWS x COLUMNS, stride STRIDE; pads do not count. partial: PARTIALS x 2 f32. One invocation per partial result.
// Bindings: x, partial. Launched by recordMaxAbs (src/kernels/reduce.ts).
#include "common/columns.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> partial: array<vec2f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let p = id.x + id.y * GRID_WIDTH;
  if (p >= PARTIALS) { return; }
  // The first element replaces pads, and the vec4s that an idle invocation does not have.
  let fallback = vec4f(x[0].x);
  var largest = fallback;
  var smallest = fallback;
  for (var i = p; i < ROWS * (STRIDE / 4u); i += PARTIALS) {
    let v = select(fallback, x[i], in_row(i % (STRIDE / 4u) * 4u));
    largest = max(largest, v);
    smallest = min(smallest, v);
  }
  let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
  let bottom = min(min(smallest.x, smallest.y), min(smallest.z, smallest.w));
  partial[p] = vec2f(max(top, -bottom), top);
}
