// codes[flips[i].x] ^= flips[i].y for i = 1 .. flips[0].x: inverts chosen bits of a memory image. No word occurs twice.
// CAPACITY is the number of pairs that `flips` can hold, the first with their number. One invocation per pair.
// Bindings: flips, codes. Launched by recordFlipCodes (src/kernels/flips.ts). Reference: flipCodes in src/reference/flips.ts.
@group(0) @binding(0) var<storage, read> flips: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> codes: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH + 1u;
  if (i >= CAPACITY || i > flips[0].x) { return; }
  codes[flips[i].x] ^= flips[i].y;
}
