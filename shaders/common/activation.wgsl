// The activations and their slopes, four values at a time. ACTIVATION is a prelude constant, the codes of
// ACTIVATION_CODE in src/kernels/activation.ts: 0 none, 1 relu, 2 tanh, 3 sigmoid; the branches fold away.
// sigmoid(0) is 0.5: a kernel that stores a row must mask its pad columns.

// y = act(v). Arguments are clamped where the function is constant in f32 anyway: some drivers compute tanh and sigmoid
// from exp, which overflows. |tanh| rounds to 1 from 9.01 on, sigmoid(-87) = 1.6e-38 is the last normal number.
fn activate(v: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return max(v, vec4f()); }
  if (ACTIVATION == 2u) { return tanh(clamp(v, vec4f(-15.0), vec4f(15.0))); }
  if (ACTIVATION == 3u) { return 1.0 / (1.0 + exp(-clamp(v, vec4f(-87.0), vec4f(87.0)))); }
  return v;
}

// act'(v) written with the output y = act(v): relu 1 where y > 0, tanh 1 - y^2, sigmoid y (1 - y).
fn activation_slope(y: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return select(vec4f(), vec4f(1.0), y > vec4f()); }
  if (ACTIVATION == 2u) { return (1.0 - y) * (1.0 + y); }
  if (ACTIVATION == 3u) { return y * (1.0 - y); }
  return vec4f(1.0);
}
