// Stride classes: the pixels of the large side of a strided convolution fall into STRIDE x STRIDE classes, because pixel
// y meets only kernel rows congruent to y + PADDING modulo STRIDE. The input gradient is computed class by class. Every
// tile has pixels of one class, so it steps over the taps of that class only, and its rows see the small side as a dense
// convolution:
// pixel y = first + STRIDE q of a class meets kernel row tap + STRIDE j at row q + origin - j of the small side.
// Needs STRIDE, PADDING and what conv/pixels.wgsl needs; the large side is C.

// The first kernel row and column of a class.
fn first_tap(stride_class: u32) -> vec2u {
  return vec2u(stride_class / STRIDE, stride_class % STRIDE);
}

// The pixels of a class in some images.
fn stride_class_grid(tap: vec2u, first_image: u32, images: u32) -> Grid {
  let first = (tap + (STRIDE - PADDING % STRIDE)) % STRIDE;
  let size = (vec2u(C_HEIGHT, C_WIDTH) + (STRIDE - 1u) - first) / STRIDE;
  return Grid(first_image, images, size, vec2i((first + PADDING - tap) / STRIDE), first);
}

// The step of conv/taps.wgsl over the taps of a class.
const TAP_STEP: u32 = STRIDE;
const TAP_END: u32 = KERNEL;
fn tap_move(tap: vec2u, first: vec2u) -> vec2i { return -vec2i((tap - first) / STRIDE); }
