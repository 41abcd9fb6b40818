// Fetches blocks of 16 columns of four rows of W, and four biases, from approximate memory.
#include "common/fetch_approximate.wgsl"

var<private> weights: Read;
var<private> bias: vec4f;
// fetched[4 i + q] holds columns 4 q .. 4 q + 3 of the block in row i.
var<private> fetched: array<vec4f, 16>;

fn load_b(i: u32) -> vec4f { return vec4f(); }  // unused: W is read in blocks
fn load_bias(column4: u32) -> vec4f { return bias; }

// Must be called first. @param channel first of the four channels of the bias; @param group the group of images that reads
fn open_tensors(channel: u32, group: u32) {
  let image = select(0u, step.first_image + group, PER_IMAGE);
  weights = begin_read(WEIGHT_MAP, WEIGHT_ORIGIN, image);
  if (BIAS) { bias = fetch_block(begin_read(BIAS_MAP, BIAS_ORIGIN, image), channel / 16u, 0u)[(channel / 4u) % 4u]; }
}

// Fetches block `block` of rows row .. row + 3.
fn open_block(row: u32, block: u32) {
  // Not unrolled, because the fetch takes long to compile.
  for (var i = 0u; i < 4u; i++) {
    let columns = fetch_block(weights, (row + i) * (STRIDE_B / 16u) + block, row + i);
    fetched[4u * i] = columns[0];
    fetched[4u * i + 1u] = columns[1];
    fetched[4u * i + 2u] = columns[2];
    fetched[4u * i + 3u] = columns[3];
  }
}
