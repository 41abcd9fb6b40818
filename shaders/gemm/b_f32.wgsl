// B of a product as f32. Included as <operand>; the alternative is b_codes16.wgsl.
@group(0) @binding(1) var<storage, read> b: array<vec4f>;

fn open_b() {}
fn load_b(i: u32) -> vec4f { return b[i]; }
