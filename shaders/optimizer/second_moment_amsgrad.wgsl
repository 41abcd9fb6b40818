// Fills the <second_moment> slot of adam.wgsl: AMSGrad divides by the largest second moment so far.
@group(0) @binding(4) var<storage, read_write> second_moment_max: array<vec4f>;
@group(0) @binding(5) var<uniform> step: Step;

fn bounded_second_moment(i: u32, v: vec4f) -> vec4f {
  let largest = max(second_moment_max[i], v);
  second_moment_max[i] = largest;
  return largest;
}
