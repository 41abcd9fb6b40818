// The epilogue of a product: act(value + bias[column4]). BIAS and ACTIVATION are prelude constants, so unused parts cost
// nothing. The including shader provides load_bias.
#include "common/activation.wgsl"

fn epilogue(value: vec4f, column4: u32) -> vec4f {
  if (BIAS) {
    return activate(value + load_bias(column4));
  }
  return activate(value);
}
