// dW[oc, ky, kx, ic] = sum over n, oy, ox of dy[n, oy, ox, oc]
//                      x[n, oy STRIDE + ky - PADDING, ox STRIDE + kx - PADDING, ic]:
// the gradient of conv2d_forward with respect to its weights.
// dy: NHWC, one pixel per row of STRIDE_A. x: NHWC, stride STRIDE_B, with a row of zeros at ZERO_ROW. dW (here c): M
// output channels x N = KERNEL^2 4 CHANNELS4 columns (ky KERNEL + kx) 4 CHANNELS4 + ic, stride STRIDE_C; x's pad
// channels are zero, so those of dW are. One invocation computes a register tile of output channels x columns,
// without barriers: every output pixel is an outer product of contiguous vectors. Four columns lie in one tap,
// but sixteen may not, so every four columns have a separate address. Workgroup z is the slice, of LINES_SLICE lines of
// output pixels.
// Measured on SwiftShader, batch 16, 32 x 32 x 32 -> 64 and 16 x 16 x 64 -> 128, 3 x 3 taps: 44 % of its FMA ceiling
// in both cases, where gemm_tn of 512^3 has 47 %; with lines and pixels as two loops, on an earlier tile, 28 and 21 %.
// Bindings: dy, x, c (dW or its slices). Launched by recordConv2dWeightGradient (src/kernels/conv.ts).
@group(0) @binding(0) var<storage, read> dy: array<vec4f>;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

fn load_a(i: u32) -> vec4f { return dy[i]; }
fn load_b(i: u32) -> vec4f { return x[i]; }
fn load_bias(i: u32) -> vec4f { return vec4f(); }

#include <tile>
#include "gemm/epilogue.wgsl"
#include "gemm/store.wgsl"

const ZEROS = ZERO_ROW * (STRIDE_B / 4u);
const OUTSIDE: i32 = -0x40000000;

// Output pixels per turn: four where the length of a line is a multiple of four, else one.
const PIXELS: u32 = select(1u, 4u, OUT_WIDTH % 4u == 0u);

// For every four columns of the invocation: their tap and channels, which are the same for all pixels.
struct Columns {
  tap_y: vec4i,     // pixel of x that the tap of output pixel (0, 0) meets
  tap_x: vec4i,
  channel4: vec4u,  // vec4 index in that pixel
  exist: vec4<bool>,
}

// A line of output pixels.
struct Line {
  at_b: vec4u,  // vec4 index in x of its pixel 0, if inside
  x: vec4i,     // that pixel in its line of x
}

fn line_of_x(columns: Columns, line: u32) -> Line {
  let image = line / OUT_HEIGHT;
  let y = columns.tap_y + i32(line % OUT_HEIGHT * STRIDE);
  let inside = (bitcast<vec4u>(y) < vec4u(X_HEIGHT)) & columns.exist;
  let pixel = (vec4i(i32(image * X_HEIGHT)) + y) * i32(X_WIDTH) + columns.tap_x;
  let at = bitcast<vec4u>(pixel) * (STRIDE_B / 4u) + columns.channel4;
  return Line(at, select(vec4i(OUTSIDE), columns.tap_x, inside));
}

// For output pixel ox: the vec4 index in x of each group of four columns.
fn pixel_of_x(line: Line, ox: u32) -> vec4u {
  let inside = bitcast<vec4u>(line.x + i32(ox * STRIDE)) < vec4u(X_WIDTH);
  return select(vec4u(ZEROS), line.at_b + ox * STRIDE * (STRIDE_B / 4u), inside);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let tile_at = tile_origin(id);
  if (tile_at.x >= M || tile_at.y >= N) { return; }
  let row = panel_origin(id).x;
  let column = panel_origin(id).y;
  slice = id.z;
  let columns4 = vec4u(column >> 2u) + vec4u(0u, 1u, 2u, 3u);
  let tap = columns4 / CHANNELS4;
  let columns = Columns(
    vec4i(tap / KERNEL) - i32(PADDING), vec4i(tap % KERNEL) - i32(PADDING), columns4 % CHANNELS4, columns4 < vec4u(N / 4u));
  let first = id.z * LINES_SLICE;
  let end = min(first + LINES_SLICE, IMAGES * OUT_HEIGHT);
  var tile: Tile;
  var at_a = first * OUT_WIDTH * (STRIDE_A / 4u) + (row >> 2u);
  var i = first;
  var ox = 0u;
  var line = line_of_x(columns, i);
  while (i < end) {
    if (PIXELS == 4u) {
      let four = panel_b_gather(
        pixel_of_x(line, ox), pixel_of_x(line, ox + 1u), pixel_of_x(line, ox + 2u), pixel_of_x(line, ox + 3u));
      tile_rank4(&tile, panel_a_columns(at_a, STRIDE_A / 4u), four);
    } else {
      tile_rank1_gather(&tile, at_a, pixel_of_x(line, ox));
    }
    at_a += PIXELS * (STRIDE_A / 4u);
    ox += PIXELS;
    if (ox == OUT_WIDTH) {
      ox = 0u;
      i++;
      line = line_of_x(columns, i);
    }
  }
  tile_store(&tile, row, column);
}
