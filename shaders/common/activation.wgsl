// The activations and their slopes, four values at a time. ACTIVATION is a prelude constant, one of the codes
// in ACTIVATION_CODE (src/kernels/activation.ts): 0 none, 1 relu, 2 tanh, 3 sigmoid, 4 relu6; the compiler removes the
// branches.
// sigmoid(0) is 0.5: a kernel that stores a row must mask its pad columns.

// y = act(v). Arguments are clamped to a range outside which the function no longer changes noticeably, because some drivers
// compute tanh and sigmoid from exp, which overflows. |tanh| rounds to 1 from 9.01 on; sigmoid(-87) = 1.6e-38 is still a
// normal number.
fn activate(v: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return max(v, vec4f()); }
  if (ACTIVATION == 2u) { return tanh(clamp(v, vec4f(-15.0), vec4f(15.0))); }
  if (ACTIVATION == 3u) { return 1.0 / (1.0 + exp(-clamp(v, vec4f(-87.0), vec4f(87.0)))); }
  if (ACTIVATION == 4u) { return clamp(v, vec4f(), vec4f(6.0)); }
  return v;
}

// act'(v) computed from the output y = act(v): 1 where y > 0 for relu, 1 - y^2 for tanh, y (1 - y) for sigmoid,
// 1 where 0 < y < 6 for relu6.
fn activation_slope(y: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return select(vec4f(), vec4f(1.0), y > vec4f()); }
  if (ACTIVATION == 2u) { return (1.0 - y) * (1.0 + y); }
  if (ACTIVATION == 3u) { return y * (1.0 - y); }
  if (ACTIVATION == 4u) { return select(vec4f(), vec4f(1.0), (y > vec4f()) & (y < vec4f(6.0))); }
  return vec4f(1.0);
}
