// SECDED(72,64), an extended Hamming code: 64 data bits and 8 check bits. Check bits 0 .. 6 are at positions 1, 2, 4,
// .. 64 of a word of 71, and bit 7 is the parity of the rest; data bit i is at the i-th position that is not a power of
// two. The code is linear, so decoding depends on the errors alone. Reference: src/memory/secded.ts.

// Data bits that check bit j covers: bit i is set where the position of data bit i has bit j set. Low words, high words.
const COVER_LOW = array<u32, 7>(0x56aaad5bu, 0x9b33366du, 0xe3c3c78eu, 0x03fc07f0u, 0x03fff800u, 0xfc000000u, 0x00000000u);
const COVER_HIGH = array<u32, 7>(0xab555555u, 0xcd999999u, 0xf1e1e1e1u, 0x01fe01feu, 0x01fffe00u, 0x01ffffffu, 0xfe000000u);

fn parity(word: u32) -> u32 { return countOneBits(word) & 1u; }

fn covered(word: vec2u, low: u32, high: u32) -> u32 { return parity((word.x & low) ^ (word.y & high)); }

fn hamming(word: vec2u) -> u32 {
  return covered(word, COVER_LOW[0], COVER_HIGH[0])
    | (covered(word, COVER_LOW[1], COVER_HIGH[1]) << 1u)
    | (covered(word, COVER_LOW[2], COVER_HIGH[2]) << 2u)
    | (covered(word, COVER_LOW[3], COVER_HIGH[3]) << 3u)
    | (covered(word, COVER_LOW[4], COVER_HIGH[4]) << 4u)
    | (covered(word, COVER_LOW[5], COVER_HIGH[5]) << 5u)
    | (covered(word, COVER_LOW[6], COVER_HIGH[6]) << 6u);
}

// The 8 check bits of 64 data bits.
fn secded_check(word: vec2u) -> u32 {
  let check = hamming(word);
  return check | (parity(word.x ^ word.y ^ check) << 7u);
}

// The data bits that are wrong after decoding, and whether the decoder has detected an error that it did not correct.
struct Decoded {
  error: vec2u,
  detected: bool,
}

// With odd parity the decoder flips the bit at the position of the syndrome, which adds an error if there are three or
// more. With even parity and a syndrome, or if there is no bit at that position, it detects an error.
fn secded_decode(error: vec2u, check: u32) -> Decoded {
  let syndrome = hamming(error) ^ (check & 0x7fu);
  let odd = parity(error.x ^ error.y ^ check) == 1u;
  let detected = select(syndrome != 0u, syndrome > 71u, odd);
  let names_data = odd && !detected && (syndrome & (syndrome - 1u)) != 0u;
  let bit = syndrome - 2u - firstLeadingBit(max(syndrome, 1u));
  let flip = select(0u, 1u << (bit & 31u), names_data);
  let second = bit >= 32u;
  return Decoded(error ^ vec2u(select(flip, 0u, second), select(0u, flip, second)), detected);
}
