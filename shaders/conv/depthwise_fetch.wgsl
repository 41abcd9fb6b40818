// The weights and biases of conv2d_depthwise_*_approximate, fetched from approximate memory once per invocation: a row of W
// is STRIDE_B / 16 blocks of 16 taps. Needs KERNEL_Y, KERNEL_X, STRIDE_B and what conv/fetch_four_rows.wgsl needs.
#include "conv/fetch_four_rows.wgsl"

// Four channels at every tap.
var<private> taps: array<vec4f, 32>;

fn open_weights(channel: u32, image: u32) {
  open_tensors(channel, image);
  for (var block = 0u; 16u * block < KERNEL_Y * KERNEL_X; block++) {
    open_block(channel, block);
    for (var q = 0u; q < 4u; q++) {
      let columns = transpose(mat4x4f(fetched[q], fetched[4u + q], fetched[8u + q], fetched[12u + q]));
      let tap = 16u * block + 4u * q;
      taps[tap] = columns[0];
      taps[tap + 1u] = columns[1];
      taps[tap + 2u] = columns[2];
      taps[tap + 3u] = columns[3];
    }
  }
}

fn weight_at(channel: u32, tap: u32) -> vec4f { return taps[tap]; }
