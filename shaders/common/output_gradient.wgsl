// The gradient with respect to the input x of an activation that was fused into a layer: dy act'(x), four values at `at`,
// with act' computed from the output y = act(x). Without an activation y is not read.
// Needs the arrays `y` and `dy` of the including shader, and ACTIVATION (common/activation.wgsl).
#include "common/activation.wgsl"

fn output_gradient(at: u32) -> vec4f {
  if (ACTIVATION == 0u) { return dy[at]; }
  return dy[at] * activation_slope(y[at]);
}
