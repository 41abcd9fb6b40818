// code[i] = sign-magnitude fixed point of weight[i], n bits, one unit worth 2^exponent, two codes a u32 (low half first).
// corrected: round to nearest even, saturate.   faithful: truncate toward zero, wrap modulo 2^(n-1), as published.
// A weight of zero gets code 0; nothing ever decodes to NaN. The weights are ROWS x STRIDE f32 with zero pads.
// Bindings: weights, maps, codes. One invocation a block of 16. Launched by recordEncode (src/kernels/memory.ts).
// Twin: encodeFixed in src/memory/fixed_point.ts.
@group(0) @binding(0) var<storage, read> weights: array<vec4f>;
@group(0) @binding(1) var<storage, read> maps: array<u32>;
@group(0) @binding(2) var<storage, read_write> codes: array<vec4u>;

const MAP_WORDS: u32 = 264u;

fn encode4(w: vec4f, bits: u32, inverse_scale: f32) -> vec4u {
  let range = f32(1u << (bits - 1u));
  let units = abs(w) * inverse_scale;  // exact: the scale is a power of two
  var magnitude: vec4f;
  if (FAITHFUL) {
    // Times 2^-(n-1) from its bits, which is exact: WGSL lets a division be off by 2.5 ulp, and floor would fall short.
    let whole = trunc(units);
    magnitude = whole - floor(whole * bitcast<f32>((128u - bits) << 23u)) * range;
  } else {
    magnitude = min(round(units), vec4f(range - 1.0));
  }
  return vec4u(magnitude) | select(vec4u(), vec4u(1u << (bits - 1u)), w < vec4f());
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let block = id.x + id.y * GRID_WIDTH;
  if (block >= ROWS * STRIDE / 16u) { return; }
  let bits = maps[MAP * MAP_WORDS + 6u];
  let inverse_scale = bitcast<f32>(maps[MAP * MAP_WORDS + 5u]);
  let at = block * 4u;
  let c0 = encode4(weights[at], bits, inverse_scale);
  let c1 = encode4(weights[at + 1u], bits, inverse_scale);
  let c2 = encode4(weights[at + 2u], bits, inverse_scale);
  let c3 = encode4(weights[at + 3u], bits, inverse_scale);
  codes[(ORIGIN + block) * 2u] =
    vec4u(c0.x | (c0.y << 16u), c0.z | (c0.w << 16u), c1.x | (c1.y << 16u), c1.z | (c1.w << 16u));
  codes[(ORIGIN + block) * 2u + 1u] =
    vec4u(c2.x | (c2.y << 16u), c2.z | (c2.w << 16u), c3.x | (c3.y << 16u), c3.z | (c3.w << 16u));
}
