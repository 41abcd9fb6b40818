// Sizes of pooling windows as vectors (x, y). The padded image has PADDING pixels before the image; window (ox, oy) begins
// in it at (ox, oy) POOL_STRIDE.
const KERNEL_SIZE = vec2u(KERNEL_WIDTH, KERNEL_HEIGHT);
const POOL_STRIDE = vec2u(POOL_STRIDE_X, POOL_STRIDE_Y);
const PADDING = vec2u(PADDING_LEFT, PADDING_TOP);
