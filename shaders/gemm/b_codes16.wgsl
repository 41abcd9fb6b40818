// B of a product as codes of 16 bits (memory/write_codes16.wgsl), two per u32, the even one in the low half. A code is
// twice the weight in units of the scale, in two's complement, plus one if the sign is set. For scales from 2^-109 up,
// load_b returns the bits of the decoded weight except for the sign of a zero, which does not change a sum that starts at
// +0. Included as <operand>; binding 4 is fault_table, whose row B_MAP has the scale.
//
// On SwiftShader such a product takes 0.86 of the time of b_f32.wgsl: loads are its bottleneck, and these are half as wide.
// A shift there is done lane by lane and costs three times as much as a product, so codes stay in the upper halves of
// words, and the scale compensates. With sign and magnitude, which would preserve the sign of zeros, it takes 0.96.
#include "struct/fault_table"
@group(0) @binding(1) var<storage, read> b: array<vec2u>;
@group(0) @binding(4) var<storage, read> fault_table: array<u32>;

var<private> scale: f32;

fn open_b() { scale = bitcast<f32>(fault_table[B_MAP * FAULT_ENTRY_WORDS + ENTRY_SCALE]) * (1.0 / 131072.0); }

fn load_b(i: u32) -> vec4f {
  let odd = b[i];
  let even = odd * vec2u(65536u);
  let twice = vec4u(even.x, odd.x, even.y, odd.y) & vec4u(0xfffe0000u);
  return vec4f(bitcast<vec4i>(twice)) * scale;
}
