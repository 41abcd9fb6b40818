// The function of a layer: values limited to LOW .. HIGH, prelude constants. As for PyTorch's hardtanh, the slope is 0 at the
// bounds and beyond. Fills the slot `function` of activation_forward.wgsl and activation_backward.wgsl.
fn activate(v: vec4f) -> vec4f { return clamp(v, vec4f(LOW), vec4f(HIGH)); }

fn activation_slope(y: vec4f) -> vec4f {
  return select(vec4f(), vec4f(1.0), (y > vec4f(LOW)) & (y < vec4f(HIGH)));
}
