// A slower alternative to shaders/memory/faults_uniform.wgsl, for codes of 12 bits stored in 16. A cell fails if its random
// number is below the rate. The random numbers of all 24 cells of a word of two codes are compared with the rate together,
// bit by bit from the most significant, until every cell is decided.
// THRESHOLD: the rate times 2^32.
struct Faults {
  key: vec2u,
}

fn open_faults(at: u32, origin: u32, image: u32) -> Faults { return Faults(read_key(at, image)); }

struct Sliced {
  flips: u32,
  undecided: u32,
}

fn slice_bit(word: Sliced, random: u32, bit: u32) -> Sliced {
  let one = ((THRESHOLD >> bit) & 1u) == 1u;
  return Sliced(
    word.flips | select(0u, word.undecided & ~random, one),
    word.undecided & select(~random, random, one),
  );
}

fn sliced_word(faults: Faults, index: u32) -> u32 {
  var word = Sliced(0u, 0x0fff0fffu);
  for (var slice = 0u; word.undecided != 0u && slice < 8u; slice++) {
    let random = pcg4d(vec4u(index, slice, faults.key));
    let bit = 31u - 4u * slice;
    word = slice_bit(word, random.x, bit);
    word = slice_bit(word, random.y, bit - 1u);
    word = slice_bit(word, random.z, bit - 2u);
    word = slice_bit(word, random.w, bit - 3u);
  }
  return word.flips;
}

fn block_mask(faults: Faults, block: u32, stored: Words) -> Words {
  var words = Words();
  for (var i = 0u; i < 8u; i++) { words = words_or(words, words_of(i, sliced_word(faults, 8u * block + i))); }
  return words;
}
