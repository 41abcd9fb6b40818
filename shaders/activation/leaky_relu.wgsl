// The function of a layer: v above 0, SLOPE v below, where SLOPE is a prelude constant in 0 .. 1. Fills the slot `function`
// of activation_forward.wgsl and activation_backward.wgsl.
fn activate(v: vec4f) -> vec4f { return select(SLOPE * v, v, v > vec4f()); }

fn activation_slope(y: vec4f) -> vec4f { return select(vec4f(SLOPE), vec4f(1.0), y > vec4f()); }
