// Sparse faults: the faulty ones of 512 consecutive codes in one read, for products that are corrected flip by flip.
//
// A code of n bits, each of which fails with probability p, is faulty with q = P(at least one fails). As in
// faults_uniform.wgsl, one u32 gives the number of faulty codes among 512, and a random sequence without repeats selects
// them. Nine bits of a word of the sequence are the code. The other 23 select the bit that fails, and their remainder
// decides whether more bits fail (ties, one in 2^19, take another word). All probabilities are in steps of 2^-32, and
// faults are nested: what fails at one rate fails at every higher one.
// There is one hash per stretch of 512 codes, and one for every four faults: the cost depends on the number of flips.
//
// The including shader includes common/fetch_approximate.wgsl, declares what that file needs, and binds the image once more
// as `code_words: array<u32>`. Reference: src/memory/sparse_faults.ts.
const STRETCH: u32 = 512u;

struct SparseFaultTable {
  key: vec2u,    // key of the read
  bits: u32,     // n, the bits of a code that can fail
  limit: u32,    // number of entries of the table of faulty codes
  table: u32,    // index in `fault_table` at which it begins; at least k + 1 codes are faulty when the draw is <= entry k
  more: u32,     // index at which the table of further bits begins; at least j + 2 bits fail when the draw is <= entry j
  first: array<vec4u, 4>,  // entries 0 .. 15 of the table of faulty codes; zero beyond the limit
  second_bit: u32,         // entry 0 of the table of further bits
}

fn begin_sparse_faults(map: u32, image: u32) -> SparseFaultTable {
  let at = map * FAULT_ENTRY_WORDS;
  let faults = at + fault_table[at + ENTRY_SPARSE_FAULTS];
  let table = faults + 2u;
  let limit = fault_table[faults];
  let more = at + fault_table[faults + 1u];
  let first = array<vec4u, 4>(map_words(table), map_words(table + 4u), map_words(table + 8u), map_words(table + 12u));
  let bits = fault_table[at + ENTRY_SOURCES + SOURCE_BITS];
  return SparseFaultTable(read_key(at, image), bits, limit, table, more, first, fault_table[more]);
}

fn map_words(at: u32) -> vec4u { return vec4u(fault_table[at], fault_table[at + 1u], fault_table[at + 2u], fault_table[at + 3u]); }

fn fault_count(faults: SparseFaultTable, draw: u32) -> u32 {
  let one = vec4u(1u);
  let held = select(vec4u(), one, vec4u(draw) <= faults.first[0])
    + select(vec4u(), one, vec4u(draw) <= faults.first[1])
    + select(vec4u(), one, vec4u(draw) <= faults.first[2])
    + select(vec4u(), one, vec4u(draw) <= faults.first[3]);
  var count = held.x + held.y + held.z + held.w;
  while (count >= 16u && count < faults.limit && draw <= fault_table[faults.table + count]) { count++; }
  return min(count, faults.limit);
}

// The codes of a stretch that are known to be faulty, one bit per code.
struct Taken {
  a: vec4u,
  b: vec4u,
  c: vec4u,
  d: vec4u,
}

fn taken_code(code: u32, real: bool) -> Taken {
  let word = vec4u(code >> 5u);
  let bit = vec4u(select(0u, 1u << (code & 31u), real));
  return Taken(
    select(vec4u(), bit, word == vec4u(0u, 1u, 2u, 3u)),
    select(vec4u(), bit, word == vec4u(4u, 5u, 6u, 7u)),
    select(vec4u(), bit, word == vec4u(8u, 9u, 10u, 11u)),
    select(vec4u(), bit, word == vec4u(12u, 13u, 14u, 15u)),
  );
}

fn taken_both(x: Taken, y: Taken) -> bool {
  let both = (x.a & y.a) | (x.b & y.b) | (x.c & y.c) | (x.d & y.d);
  return (both.x | both.y | both.z | both.w) != 0u;
}

fn taken_or(x: Taken, y: Taken) -> Taken { return Taken(x.a | y.a, x.b | y.b, x.c | y.c, x.d | y.d); }

// A walk over stretches, one hash per turn. A turn has at most four faults. For most of them the failing bit is known
// immediately; a fault that depends on more random bits is noted (`rare`) and drawn after the loop, because a software
// adapter walks through every branch of a loop, and through a nested loop at least once.
struct Walk {
  at: u32,       // stretch, relative to the first of the walk
  slice: u32,    // number of its hashes drawn
  left: u32,     // faults of the stretch still to come
  taken: Taken,
}

struct Turn {
  codes: vec4u,
  masks: vec4u,      // the failing bit of each
  faulty: vec4<bool>,   // excludes rare faults
  rare: u32,         // bit i: fault i is still to be drawn
  next: Walk,
}

fn walk_turn(faults: SparseFaultTable, stretch: u32, walk: Walk) -> Turn {
  let random = pcg4d(vec4u(stretch, walk.slice, faults.key));
  let opening = walk.slice == 0u;
  var left = walk.left;
  if (opening) { left = fault_count(faults, random.x); }
  let codes = random >> vec4u(23u);
  let scaled = (random & vec4u(0x7fffffu)) * faults.bits;
  let rest = scaled & vec4u(0x7fffffu);
  let unclear = (rest <= vec4u(faults.second_bit >> 9u)) | (rest + vec4u(faults.bits) > vec4u(0x800000u));
  var taken = walk.taken;
  let x = take(taken, codes.x, select(left, 0u, opening));  // the first word of a stretch is the count
  taken = taken_or(taken, x.codes);
  left -= x.faulty;
  let y = take(taken, codes.y, left);
  taken = taken_or(taken, y.codes);
  left -= y.faulty;
  let z = take(taken, codes.z, left);
  taken = taken_or(taken, z.codes);
  left -= z.faulty;
  let w = take(taken, codes.w, left);
  taken = taken_or(taken, w.codes);
  left -= w.faulty;
  let faulty = vec4u(x.faulty, y.faulty, z.faulty, w.faulty);
  let flags = select(vec4u(), faulty, unclear) << vec4u(0u, 1u, 2u, 3u);
  let done = left == 0u;
  var next = Walk(walk.at + select(0u, 1u, done), select(walk.slice + 1u, 0u, done), left, Taken());
  if (!done) { next.taken = taken; }
  let rare = flags.x | flags.y | flags.z | flags.w;
  return Turn(codes, vec4u(1u) << (scaled >> vec4u(23u)), (faulty == vec4u(1u)) & !unclear, rare, next);
}

struct Attempt {
  codes: Taken,  // the code, if it is faulty
  faulty: u32,
}

fn take(taken: Taken, code: u32, left: u32) -> Attempt {
  let bit = taken_code(code, left > 0u);
  let fresh = left > 0u && !taken_both(taken, bit);
  return Attempt(bit, select(0u, 1u, fresh));
}

// Turns with rare faults that are still to be drawn, newest first. One word per turn holds stretch, slice and flags.
struct Waiting {
  first: vec4u,
  second: vec4u,
  count: u32,
}

const MOST_WAITING: u32 = 8u;

fn wait(waiting: Waiting, walk: Walk, rare: u32) -> Waiting {
  let turn = (walk.at << 20u) | (walk.slice << 4u) | rare;
  let some = rare != 0u;
  return Waiting(
    select(waiting.first, vec4u(turn, waiting.first.xyz), some),
    select(waiting.second, vec4u(waiting.first.w, waiting.second.xyz), some),
    waiting.count + select(0u, 1u, some),
  );
}

// Removes the newest rare fault.
fn next_waiting(waiting: Waiting) -> Waiting {
  let turn = waiting.first.x & (waiting.first.x - 1u);  // without its lowest flag
  if ((turn & 15u) != 0u) { return Waiting(vec4u(turn, waiting.first.yzw), waiting.second, waiting.count); }
  return Waiting(
    vec4u(waiting.first.yzw, waiting.second.x),
    vec4u(waiting.second.yzw, 0u),
    waiting.count - 1u,
  );
}

struct RareFault {
  at: u32,    // stretch, relative to the first of the walk
  code: u32,
  mask: u32,  // its bits that fail
}

// Draws the newest of the waiting faults in full. @param stretch the walk's first
fn rare_fault(faults: SparseFaultTable, stretch: u32, waiting: Waiting) -> RareFault {
  let turn = waiting.first.x;
  let at = turn >> 20u;
  let random = pcg4d(vec4u(stretch + at, (turn >> 4u) & 0xffffu, faults.key));
  let i = firstTrailingBit(turn);
  let word = select(select(random.x, random.y, i == 1u), select(random.z, random.w, i == 3u), i >= 2u);
  let scaled = (word & 0x7fffffu) * faults.bits;
  let code = word >> 23u;
  return RareFault(at, code, further_bits(faults, stretch + at, code, scaled));
}

// The bits of a faulty code that fail. `scaled` is 23 random bits, a fraction of 2^23, times n: its whole part is the first
// failing bit, and its rest decides whether more fail. Here that depends on further random bits, which are drawn.
fn further_bits(faults: SparseFaultTable, stretch: u32, code: u32, scaled: u32) -> u32 {
  var slice = 0x80000000u | (code << 8u);
  var random = pcg4d(vec4u(stretch, slice, faults.key));
  // (fraction 2^32 + random.x) n: bits 55 and up select the bit, and the 32 below them decide whether more fail.
  let carry = ((random.x >> 16u) * faults.bits + (((random.x & 0xffffu) * faults.bits) >> 16u)) >> 16u;
  let whole = scaled + carry;
  let draw = (whole << 9u) | ((random.x * faults.bits) >> 23u);
  var count = 1u;
  while (count < faults.bits && draw <= fault_table[faults.more + count - 1u]) { count++; }
  var mask = 1u << (whole >> 23u);
  var next = 4u;
  while (countOneBits(mask) < count) {
    if (next == 16u) {
      slice++;
      random = pcg4d(vec4u(stretch, slice, faults.key));
      next = 0u;
    }
    let bit = (random[next >> 2u] >> (8u * (next & 3u))) & (STORAGE_BITS - 1u);
    next++;
    if (bit < faults.bits) { mask |= 1u << bit; }
  }
  return mask;
}

// decode(code XOR mask) - decode(code).
fn fault_change(format: Format, code: u32, mask: u32, row: u32) -> f32 {
  let both = decode4(format, vec4u(code, code ^ mask, 0u, 0u), row);
  return both.y - both.x;
}

// Code k of a row that begins at word `row_word` of the image.
fn code_at(row_word: u32, k: u32) -> u32 {
  let word = code_words[row_word + k * STORAGE_BITS / 32u];
  if (STORAGE_BITS == 32u) { return word; }
  return (word >> ((k * STORAGE_BITS) & 31u)) & ((1u << (STORAGE_BITS & 31u)) - 1u);
}
