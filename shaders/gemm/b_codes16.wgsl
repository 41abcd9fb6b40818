// B of a product as codes of 16 bits (memory/write_codes16.wgsl), two a u32, the even one in the low half: twice the weight in
// units of the scale, two's complement, plus one for a sign. What load_b returns is the decoded weight bit for bit, for scales
// from 2^-109 up, but for the sign of a zero: a sum that starts at +0 is the same with both. Included as <operand>; binding 4:
// fault_table, of which row B_MAP has the scale.
//
// On SwiftShader such a product takes 0.86 of the time of b_f32.wgsl: loads are what it is bound by, and these are half as wide.
// A shift there is lane by lane, three times as dear as a product: codes stay in the upper halves of words, and the scale
// makes up for it. With sign and magnitude, which zeros of both signs would come out of, it takes 0.96.
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
