// Non-local means (Buades, Coll, Morel, CVPR 2005): y[p] = sum_q w(p, q) x[q] / sum_q w(p, q), for q in the square of
// radius SEARCH_RADIUS (3..5) around p. w(p, q) = exp(-d(p, q) / h^2), where d is the mean squared difference of the
// patches of radius PATCH_RADIUS (1..2) around p and q: EXPONENT = 1 / (h^2 (2 PATCH_RADIUS + 1)^2) times the sum of
// squares. Beyond the edges of an image, its edge pixels are repeated.
// x, y: ROWS images of HEIGHT x WIDTH pixels, row-major in a matrix row of stride STRIDE; pads of y are not written.
// One invocation computes four pixels of a line. Bindings: x, y. Launched by recordNonLocalMeans (src/kernels/image.ts).
//
// The patches of four neighbours overlap, and so do those of q and q + 1: an invocation keeps the pixels around its
// four pixels and slides a window of the same size over the search square, one new pixel per line and step. One pixel per
// invocation, with every patch read again, was 9 times slower on SwiftShader.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

const SEARCH: i32 = i32(SEARCH_RADIUS);
const QUADS: u32 = (WIDTH + 3u) / 4u;

// Eight pixels of a line: two left of four adjacent pixels (a quad), the quad, and two right of it.
struct Window {
  left: vec4f,
  right: vec4f,
}

fn line_start(image: u32, line: i32) -> u32 { return image + u32(clamp(line, 0, i32(HEIGHT) - 1)) * WIDTH; }
fn pixel(start: u32, column: i32) -> f32 { return x[start + u32(clamp(column, 0, i32(WIDTH) - 1))]; }

fn window(start: u32, quad: i32) -> Window {
  return Window(
    vec4f(pixel(start, quad - 2), pixel(start, quad - 1), pixel(start, quad), pixel(start, quad + 1)),
    vec4f(pixel(start, quad + 2), pixel(start, quad + 3), pixel(start, quad + 4), pixel(start, quad + 5)),
  );
}

fn slide(w: Window, next: f32) -> Window { return Window(vec4f(w.left.yzw, w.right.x), vec4f(w.right.yzw, next)); }

fn add_squares(sum: Window, p: Window, q: Window) -> Window {
  let left = p.left - q.left;
  let right = p.right - q.right;
  return Window(sum.left + left * left, sum.right + right * right);
}

// For each of the quad's four columns, the sum over PATCH_RADIUS columns to either side.
fn patch_sums(c: Window) -> vec4f {
  let inner = vec4f(c.left.yzw, c.right.x) + vec4f(c.left.zw, c.right.xy) + vec4f(c.left.w, c.right.xyz);
  if (PATCH_RADIUS == 1u) { return inner; }
  return inner + c.left + c.right;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * GRID_WIDTH;
  if (i >= ROWS * HEIGHT * QUADS) { return; }
  let image = i / (HEIGHT * QUADS) * STRIDE;
  let line = i32(i / QUADS % HEIGHT);
  let quad = i32(i % QUADS * 4u);

  // Patch lines -2 .. 2 around the quad; the outer two are used only with PATCH_RADIUS 2.
  let p1 = window(line_start(image, line - 1), quad);
  let p2 = window(line_start(image, line), quad);
  let p3 = window(line_start(image, line + 1), quad);
  var p0: Window;
  var p4: Window;
  if (PATCH_RADIUS == 2u) {
    p0 = window(line_start(image, line - 2), quad);
    p4 = window(line_start(image, line + 2), quad);
  }

  var sum = vec4f();
  var weights = vec4f();
  for (var dy = -SEARCH; dy <= SEARCH; dy++) {
    let s0 = line_start(image, line + dy - 2);
    let s1 = line_start(image, line + dy - 1);
    let s2 = line_start(image, line + dy);
    let s3 = line_start(image, line + dy + 1);
    let s4 = line_start(image, line + dy + 2);
    var q1 = window(s1, quad - SEARCH);
    var q2 = window(s2, quad - SEARCH);
    var q3 = window(s3, quad - SEARCH);
    var q0: Window;
    var q4: Window;
    if (PATCH_RADIUS == 2u) {
      q0 = window(s0, quad - SEARCH);
      q4 = window(s4, quad - SEARCH);
    }
    for (var dx = -SEARCH; dx <= SEARCH; dx++) {
      var squares = add_squares(add_squares(add_squares(Window(), p1, q1), p2, q2), p3, q3);
      if (PATCH_RADIUS == 2u) { squares = add_squares(add_squares(squares, p0, q0), p4, q4); }
      let weight = exp(-EXPONENT * patch_sums(squares));
      sum += weight * vec4f(q2.left.zw, q2.right.xy);
      weights += weight;

      let next = quad + dx + 6;
      q1 = slide(q1, pixel(s1, next));
      q2 = slide(q2, pixel(s2, next));
      q3 = slide(q3, pixel(s3, next));
      if (PATCH_RADIUS == 2u) {
        q0 = slide(q0, pixel(s0, next));
        q4 = slide(q4, pixel(s4, next));
      }
    }
  }

  let mean = sum / weights;
  let first = image + u32(line) * WIDTH + u32(quad);
  y[first] = mean.x;
  if (u32(quad) + 1u < WIDTH) { y[first + 1u] = mean.y; }
  if (u32(quad) + 2u < WIDTH) { y[first + 2u] = mean.z; }
  if (u32(quad) + 3u < WIDTH) { y[first + 3u] = mean.w; }
}
