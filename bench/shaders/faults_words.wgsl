// A slower alternative to shaders/memory/faults_uniform.wgsl, for codes of 12 bits stored in 16: the number of flips is
// drawn for every word of two codes (24 cells) instead of for every block of 192 cells. TABLE0 .. TABLE3: at least k + 1
// cells fail if the draw is <= TABLEk. A word with five or more flips gets only four; exact counts would cost more.
struct Faults {
  key: vec2u,
}

fn open_faults(at: u32, origin: u32, image: u32) -> Faults { return Faults(read_key(at, image)); }

fn word_mask(faults: Faults, index: u32) -> u32 {
  var random = pcg4d(vec4u(index, 0u, faults.key));
  let table = vec4u(TABLE0, TABLE1, TABLE2, TABLE3);
  let held = select(vec4u(), vec4u(1u), vec4u(random.x) <= table);
  let count = held.x + held.y + held.z + held.w;
  var mask = 0u;
  var slice = 0u;
  var next = 4u;
  while (countOneBits(mask) < count) {
    if (next == 16u) {
      slice++;
      random = pcg4d(vec4u(index, slice, faults.key));
      next = 0u;
    }
    random = select(random, random.yzwx, (next & 3u) == 0u);
    let place = (random.x >> (8u * (next & 3u))) & 31u;
    next++;
    mask |= select(0u, 1u << (place + select(0u, 4u, place >= 12u)), place < 24u);
  }
  return mask;
}

fn block_mask(faults: Faults, block: u32, stored: Words) -> Words {
  var words = Words();
  for (var i = 0u; i < 8u; i++) { words = words_or(words, words_of(i, word_mask(faults, 8u * block + i))); }
  return words;
}
