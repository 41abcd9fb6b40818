// Writes a 4 x 4 block of C without rows beyond M, and with zeros in pad columns beyond N. With SPLIT_K > 1 the partial
// sums of slice z go to C[z] and gemm/reduce_split_k.wgsl applies the epilogue; otherwise the epilogue is applied here. The
// slices of a batch are numbered consecutively, product after product.
// Needs M, N, STRIDE_C, SPLIT_K, the array `c` and the function `epilogue` of the including shader.
var<private> slice: u32;

fn store_row(row: u32, column: u32, value: vec4f) {
  if (row >= M || column >= STRIDE_C) { return; }
  let at = (slice * M + row) * (STRIDE_C / 4u) + (column >> 2u);
  if (SPLIT_K > 1u) {
    c[at] = value;
  } else {
    let columns = vec4u(column) + vec4u(0u, 1u, 2u, 3u);
    c[at] = select(vec4f(), epilogue(value, column >> 2u), columns < vec4u(N));
  }
}

fn store_block(row: u32, column: u32, block: mat4x4f) {
  store_row(row, column, block[0]);
  store_row(row + 1u, column, block[1]);
  store_row(row + 2u, column, block[2]);
  store_row(row + 3u, column, block[3]);
}
