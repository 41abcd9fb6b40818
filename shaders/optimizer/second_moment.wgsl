// Fills the <second_moment> slot of adam.wgsl: plain Adam divides by the current second moment.
@group(0) @binding(4) var<uniform> step: Step;

fn bounded_second_moment(i: u32, v: vec4f) -> vec4f { return v; }
