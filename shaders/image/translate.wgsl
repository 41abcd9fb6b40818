// Moves every image by its own random number of whole pixels in both directions, at most SHIFT:
//   output[r, y, x] = input[r, y - dy, x - dx], 0 from outside
// or, with BACK, by the same distance the other way, which is the adjoint. The distances (dx, dy) of row r are uniform and
// depend on step.draw, a key, and step.pass_index, the number of the read. input, output: ROWS x COLUMNS, images of WIDTH pixels
// of CHANNELS values, stride STRIDE, zero pads. One invocation per value. Bindings: input, output, step.
// Launched by recordTranslate (src/kernels/image.ts).
@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<uniform> step: Step;

#include "struct/step"
#include "common/hash.wgsl"

// Separates these distances from all other uses of the hash ("move" in ASCII).
const STREAM = 0x6d6f7665u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * STRIDE) { return; }
  let row = i / STRIDE;
  let value = i % STRIDE;
  let random = pcg4d(vec4u(row, step.pass_index, step.draw, STREAM));
  let moved = vec2i(random.xy % (2u * SHIFT + 1u)) - i32(SHIFT);
  let distance = select(moved, -moved, BACK);
  let pixel = value / CHANNELS;
  let source = vec2i(i32(pixel % WIDTH), i32(pixel / WIDTH)) - distance;
  let inside = value < COLUMNS && all(source >= vec2i()) && source.x < i32(WIDTH) && source.y < i32(COLUMNS / CHANNELS / WIDTH);
  let from_value = (u32(source.y) * WIDTH + u32(source.x)) * CHANNELS + value % CHANNELS;
  output[i] = select(0.0, input[row * STRIDE + select(0u, from_value, inside)], inside);
}
