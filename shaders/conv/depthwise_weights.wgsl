// The plain weights and biases of conv2d_depthwise_*: arrays `weights` of f32 and `bias` of vec4f.
fn load_bias(i: u32) -> vec4f { return bias[i]; }
fn open_weights(channel: u32, image: u32) {}

// Rows up to the next multiple of 4 are read.
fn weight_at(channel: u32, tap: u32) -> vec4f {
  let at = channel * STRIDE_B + tap;
  return vec4f(weights[at], weights[at + STRIDE_B], weights[at + 2u * STRIDE_B], weights[at + 3u * STRIDE_B]);
}
