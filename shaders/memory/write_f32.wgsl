// Writes a block as decoded f32 values, flipped bits included, with zeros in the pads. Included as <retained>.
@group(0) @binding(2) var<storage, read_write> fetched: array<mat4x4f>;

fn write_words(read: Read, block: u32, words: Words) {
  let row = block / (STRIDE / 16u);
  let weights = decode_block(read, words, block, row);
  if (COLUMNS % 16u == 0u) {
    fetched[block] = weights;
  } else {
    fetched[block] = columns_below(weights, (block - row * (STRIDE / 16u)) * 16u, COLUMNS);
  }
}
