// One batch of a data set: images[r, p] = byte p of image k / 255, targets[r] = labels[k], with
// k = order[step.batch_offset + r].
// pixels: the data set, 8-bit, COLUMNS bytes per image, image k from byte k * 4 * IMAGE_WORDS on, IMAGE_WORDS =
// ceil(COLUMNS / 4): images start on whole words, and the bytes between them are ignored. labels: one u32 per image.
// images: ROWS x COLUMNS f32, stride STRIDE; pads are written zero. targets: ROWS u32. One invocation per vec4.
// Bindings: pixels, labels, order, images, targets, step (batch_offset).
// Launched by recordGatherBatch (src/kernels/batch.ts).
#include "struct/step"
#include "common/columns.wgsl"

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> images: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> targets: array<u32>;
@group(0) @binding(5) var<uniform> step: Step;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let row = i / (STRIDE / 4u);
  let word = i % (STRIDE / 4u);
  let image = order[step.batch_offset + row];
  if (word == 0u) { targets[row] = labels[image]; }
  var values = vec4f();
  if (word < IMAGE_WORDS) {
    values = select(values, unpack4x8unorm(pixels[image * IMAGE_WORDS + word]), in_row(word * 4u));
  }
  images[i] = values;
}
