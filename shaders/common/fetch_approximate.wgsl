// One fetch of 16 stored weights from approximate memory: code XOR mask(address, read), decoded to f32.
//
// A memory image holds a tensor's packed codes, 16 per block. Rows of a matrix start on a block; faults are drawn per
// block. The size of a code (memory/words_*.wgsl), its number format (memory/format_*.wgsl) and its faults
// (memory/faults_*.wgsl) are chosen when a pipeline is built. An invocation opens a read with begin_read, which looks up
// the values that all blocks of the read share, and then fetches many blocks.
//
// The including shader declares `codes: array<Words>`, `fault_table: array<u32>` (struct/fault_table), `step: Step` and
// PASS_OFFSET.
// Reference: src/memory/fault_sampler.ts.
#include "common/hash.wgsl"
#include "struct/fault_table"
#include "memory/read_key.wgsl"
#include <words>
#include <format>
#include <faults>

// One read of one tensor.
struct Read {
  map: u32,     // index in `fault_table` at which the tensor's entry begins
  origin: u32,  // the tensor's first block in `codes`
  format: Format,
  faults: Faults,
}

// Opens a read of the tensor in row `map` of the fault table, whose codes start at block `origin`. `image` is the number of
// the image that reads; it is used only at granularity `inference`.
fn begin_read(map: u32, origin: u32, image: u32) -> Read {
  let at = map * FAULT_ENTRY_WORDS;
  return Read(at, origin, open_format(at), open_faults(at, origin, image));
}

// The codes that the memory returns for block `block` of the tensor.
fn fetch_words(read: Read, block: u32) -> Words {
  let stored = codes[read.origin + block];
  return words_xor(stored, block_mask(read.faults, block, stored));
}

// The decoded weights of block `block`, which lies in row `row`.
fn fetch_block(read: Read, block: u32, row: u32) -> mat4x4f {
  return decode_block(read, fetch_words(read, block), block, row);
}

// Decodes `words`, which were returned for block `block` in row `row`. Component j of column i is weight 4 i + j of the
// block. Pads may decode to any number, which products multiply by zero; without FINITE they are set to zero.
fn decode_block(read: Read, words: Words, block: u32, row: u32) -> mat4x4f {
  let weights = mat4x4f(
    decode4(read.format, four_codes(words, 0u), row),
    decode4(read.format, four_codes(words, 1u), row),
    decode4(read.format, four_codes(words, 2u), row),
    decode4(read.format, four_codes(words, 3u), row),
  );
  if (FINITE) { return weights; }
  let column = (block - row * fault_table[read.map + ENTRY_ROW_BLOCKS]) * 16u;
  let columns = select(0u, fault_table[read.map + ENTRY_COLUMNS], row < fault_table[read.map + ENTRY_ROWS]);
  return columns_below(weights, column, columns);
}

// Sets the weights in columns >= `columns` to zero; `column` is the column of the first of the 16.
fn columns_below(weights: mat4x4f, column: u32, columns: u32) -> mat4x4f {
  let at = vec4u(column) + vec4u(0u, 1u, 2u, 3u);
  let end = vec4u(columns);
  return mat4x4f(
    select(vec4f(), weights[0], at < end),
    select(vec4f(), weights[1], at + 4u < end),
    select(vec4f(), weights[2], at + 8u < end),
    select(vec4f(), weights[3], at + 12u < end),
  );
}
