// Random erasing of training images (Zhong et al., AAAI 2020): with probability PROBABILITY (in steps of 2^-24) a rectangle of
// an image is filled with random values, uniform in 0..1. Its area is uniform in LEAST..MOST of the image's, its ratio of
// height to width uniform in RATIO..1 / RATIO, as in the authors' code, and its position uniform among those in the image. A
// rectangle that does not fit is drawn again, ATTEMPTS times at most; then nothing is erased.
// Random words: pcg4d(0xffffffff - attempt, k, step.draw, STREAM) for the rectangle, pcg4d(q, k, step.draw, STREAM) for the
// values of vec4 q, where k = order[step.batch_offset + r] is the image in the data set.
// x: ROWS images of HEIGHT x WIDTH x CHANNELS values, COLUMNS in a row, stride STRIDE; changed in place. One invocation per vec4.
// Bindings: order, x, step (batch_offset, draw). Launched by recordErase (src/kernels/batch.ts). Reference:
// src/reference/random.ts.
#include "struct/step"
#include "common/columns.wgsl"
#include "common/hash.wgsl"

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(2) var<uniform> step: Step;

// Uniform in 0..1, below 1, from the top 24 bits of a word each.
fn fractions(words: vec4u) -> vec4f { return vec4f(words >> vec4u(8u)) * 0x1p-24f; }

// (top, left, bottom, right) of the rectangle, the last two exclusive; empty where nothing is erased.
fn rectangle(image: u32) -> vec4u {
  for (var attempt = 0u; attempt < ATTEMPTS; attempt++) {
    let words = pcg4d(vec4u(0xffffffffu - attempt, image, step.draw, STREAM));
    let u = fractions(words);
    let area = (LEAST + (MOST - LEAST) * u.x) * f32(HEIGHT * WIDTH);
    let ratio = RATIO + (1.0 / RATIO - RATIO) * u.y;
    let height = u32(round(sqrt(area * ratio)));
    let width = u32(round(sqrt(area / ratio)));
    if (height >= HEIGHT || width >= WIDTH) { continue; }
    let top = (words.z >> 8u) % (HEIGHT - height + 1u);
    let left = (words.w >> 8u) % (WIDTH - width + 1u);
    return vec4u(top, left, top + height, left + width);
  }
  return vec4u();
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * (STRIDE / 4u)) { return; }
  let quad = i % (STRIDE / 4u);
  let image = order[step.batch_offset + i / (STRIDE / 4u)];
  // The last attempt's word is free: no rectangle uses it.
  let chance = fractions(pcg4d(vec4u(0xffffffffu - ATTEMPTS, image, step.draw, STREAM))).x;
  if (chance >= PROBABILITY) { return; }
  let area = rectangle(image);
  let pixel = (vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u)) / vec4u(CHANNELS);
  let row = pixel / vec4u(WIDTH);
  let column = pixel % vec4u(WIDTH);
  let inside = (row >= vec4u(area.x)) & (column >= vec4u(area.y)) & (row < vec4u(area.z)) & (column < vec4u(area.w));
  if (!any(inside)) { return; }
  let values = fractions(pcg4d(vec4u(quad, image, step.draw, STREAM)));
  x[i] = select(x[i], values, inside & in_row(quad * 4u));
}
