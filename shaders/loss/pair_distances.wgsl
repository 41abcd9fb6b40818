// The squared distances of all pairs of images, in partial sums: d[c, i, j] = sum of (v[i, e] - v[j, e])^2 over the vec4s e of
// chunk c, which has at most CHUNK of the LENGTH vec4s of an image. Differences are squared as they are: the expansion
// |a|^2 - 2ab + |b|^2 would cancel.
// v: IMAGES x LENGTH vec4s, whose pads are zero. d: CHUNKS * IMAGES rows of IMAGES values, stride STRIDE; pads are written zero.
// One invocation per 4 x 4 pairs of a chunk. Bindings: v, d. Launched by recordPairDistances (src/kernels/dependence.ts).
// Reference: src/reference/dependence.ts.
@group(0) @binding(0) var<storage, read> v: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> d: array<vec4f>;

fn squares(a: vec4f, b: mat4x4f) -> vec4f {
  let x = a - b[0];
  let y = a - b[1];
  let z = a - b[2];
  let w = a - b[3];
  return vec4f(dot(x, x), dot(y, y), dot(z, z), dot(w, w));
}

fn first_of(image: u32) -> u32 {
  return min(image, IMAGES - 1u) * LENGTH;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  const TILES = (IMAGES + 3u) / 4u;
  let index = id.x + id.y * GRID_WIDTH;
  if (index >= CHUNKS * TILES * TILES) { return; }
  let chunk = index / (TILES * TILES);
  let row = index % (TILES * TILES) / TILES * 4u;
  let column = index % TILES * 4u;
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  for (var e = chunk * CHUNK; e < min(LENGTH, (chunk + 1u) * CHUNK); e++) {
    let b = mat4x4f(
      v[first_of(column) + e], v[first_of(column + 1u) + e], v[first_of(column + 2u) + e], v[first_of(column + 3u) + e]);
    sum0 += squares(v[first_of(row) + e], b);
    sum1 += squares(v[first_of(row + 1u) + e], b);
    sum2 += squares(v[first_of(row + 2u) + e], b);
    sum3 += squares(v[first_of(row + 3u) + e], b);
  }
  let inside = vec4u(column) + vec4u(0u, 1u, 2u, 3u) < vec4u(IMAGES);
  let first = ((chunk * IMAGES + row) * STRIDE + column) / 4u;
  d[first] = select(vec4f(), sum0, inside);
  if (row + 1u < IMAGES) { d[first + STRIDE / 4u] = select(vec4f(), sum1, inside); }
  if (row + 2u < IMAGES) { d[first + STRIDE / 2u] = select(vec4f(), sum2, inside); }
  if (row + 3u < IMAGES) { d[first + 3u * STRIDE / 4u] = select(vec4f(), sum3, inside); }
}
