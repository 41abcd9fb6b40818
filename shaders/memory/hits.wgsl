// Sparse faults: which of 512 codes in a row are hit in one read, and how, for products that are corrected flip by flip.
//
// A code of n bits that each fail with probability p is hit with q = P(at least one fails). As in faults_uniform.wgsl one
// u32 gives the number of hit codes of 512 and a random sequence without repeats says which; the 23 bits of a word that do
// not say which code say which bit of it, and by what is left of them whether more bits fail (ties, one in 2^19, take
// another word). All in steps of 2^-32, and nested: what fails at one rate fails at every higher one.
// One hash a stretch of 512 codes, then one for every four hits: cost follows the flips, not the weights.
//
// Needs of the including shader: common/fetch_approximate.wgsl and what that needs, and the image once more as
// `code_words: array<u32>`. TypeScript twin: src/memory/hits.ts.
const STRETCH: u32 = 512u;

struct HitTable {
  key: vec2u,    // of the read
  bits: u32,     // n, those of a code that can fail
  limit: u32,    // entries of the table of hits
  table: u32,    // where it begins in `maps`: entry k: at least k + 1 codes are hit when the draw is <= it
  more: u32,     // where the table of further bits begins: entry j: at least j + 2 bits fail when the draw is <= it
  first: array<vec4u, 4>,  // entries 0 .. 15 of the table of hits; zero behind the limit
  second_bit: u32,         // entry 0 of the other
}

fn open_hits(map: u32, image: u32) -> HitTable {
  let at = map * MAP_WORDS;
  let hits = at + maps[at + MAP_HITS];
  let table = hits + 2u;
  let limit = maps[hits];
  let more = at + maps[hits + 1u];
  let first = array<vec4u, 4>(map_words(table), map_words(table + 4u), map_words(table + 8u), map_words(table + 12u));
  let bits = maps[at + MAP_SOURCES + SOURCE_BITS];
  return HitTable(read_key(at, image), bits, limit, table, more, first, maps[more]);
}

fn map_words(at: u32) -> vec4u { return vec4u(maps[at], maps[at + 1u], maps[at + 2u], maps[at + 3u]); }

fn hit_count(hits: HitTable, draw: u32) -> u32 {
  let one = vec4u(1u);
  let held = select(vec4u(), one, vec4u(draw) <= hits.first[0])
    + select(vec4u(), one, vec4u(draw) <= hits.first[1])
    + select(vec4u(), one, vec4u(draw) <= hits.first[2])
    + select(vec4u(), one, vec4u(draw) <= hits.first[3]);
  var count = held.x + held.y + held.z + held.w;
  while (count >= 16u && count < hits.limit && draw <= maps[hits.table + count]) { count++; }
  return min(count, hits.limit);
}

// The codes of a stretch that are hit already, a bit each.
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

// A walk over stretches, one hash a turn. A turn has at most four hits, of most of which the failing bit is known at once;
// where it hangs on more bits the hit is noted (`rare`) and drawn afterwards: a software adapter walks through every branch
// of a loop, and a nested loop at least once, so that what is rare must wait outside.
struct Walk {
  at: u32,       // stretch, counted from the first of the walk
  slice: u32,    // hashes of it drawn
  left: u32,     // hits of it still to come
  taken: Taken,
}

struct Turn {
  codes: vec4u,
  masks: vec4u,      // the bit of each that fails
  hit: vec4<bool>,   // without those that are rare
  rare: u32,         // bit i: hit i is still to be drawn
  next: Walk,
}

fn walk_turn(hits: HitTable, stretch: u32, walk: Walk) -> Turn {
  let random = pcg4d(vec4u(stretch, walk.slice, hits.key));
  let opening = walk.slice == 0u;
  var left = walk.left;
  if (opening) { left = hit_count(hits, random.x); }
  let codes = random >> vec4u(23u);
  let scaled = (random & vec4u(0x7fffffu)) * hits.bits;
  let rest = scaled & vec4u(0x7fffffu);
  let unclear = (rest <= vec4u(hits.second_bit >> 9u)) | (rest + vec4u(hits.bits) > vec4u(0x800000u));
  var taken = walk.taken;
  let x = take(taken, codes.x, select(left, 0u, opening));  // the first word of a stretch is the count
  taken = taken_or(taken, x.codes);
  left -= x.hit;
  let y = take(taken, codes.y, left);
  taken = taken_or(taken, y.codes);
  left -= y.hit;
  let z = take(taken, codes.z, left);
  taken = taken_or(taken, z.codes);
  left -= z.hit;
  let w = take(taken, codes.w, left);
  taken = taken_or(taken, w.codes);
  left -= w.hit;
  let hit = vec4u(x.hit, y.hit, z.hit, w.hit);
  let flags = select(vec4u(), hit, unclear) << vec4u(0u, 1u, 2u, 3u);
  let done = left == 0u;
  var next = Walk(walk.at + select(0u, 1u, done), select(walk.slice + 1u, 0u, done), left, Taken());
  if (!done) { next.taken = taken; }
  let rare = flags.x | flags.y | flags.z | flags.w;
  return Turn(codes, vec4u(1u) << (scaled >> vec4u(23u)), (hit == vec4u(1u)) & !unclear, rare, next);
}

struct Attempt {
  codes: Taken,  // the code, if it is a hit
  hit: u32,
}

fn take(taken: Taken, code: u32, left: u32) -> Attempt {
  let bit = taken_code(code, left > 0u);
  let fresh = left > 0u && !taken_both(taken, bit);
  return Attempt(bit, select(0u, 1u, fresh));
}

// Turns with rare hits that wait, newest first: stretch, slice and flags in a word each.
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

// Takes the newest rare hit out.
fn next_waiting(waiting: Waiting) -> Waiting {
  let turn = waiting.first.x & (waiting.first.x - 1u);  // without its lowest flag
  if ((turn & 15u) != 0u) { return Waiting(vec4u(turn, waiting.first.yzw), waiting.second, waiting.count); }
  return Waiting(
    vec4u(waiting.first.yzw, waiting.second.x),
    vec4u(waiting.second.yzw, 0u),
    waiting.count - 1u,
  );
}

struct RareHit {
  at: u32,    // stretch, counted from the first of the walk
  code: u32,
  mask: u32,  // its bits that fail
}

// Draws the newest of the waiting hits in full. @param stretch the walk's first
fn rare_hit(hits: HitTable, stretch: u32, waiting: Waiting) -> RareHit {
  let turn = waiting.first.x;
  let at = turn >> 20u;
  let random = pcg4d(vec4u(stretch + at, (turn >> 4u) & 0xffffu, hits.key));
  let i = firstTrailingBit(turn);
  let word = select(select(random.x, random.y, i == 1u), select(random.z, random.w, i == 3u), i >= 2u);
  let scaled = (word & 0x7fffffu) * hits.bits;
  let code = word >> 23u;
  return RareHit(at, code, further_bits(hits, stretch + at, code, scaled));
}

// The bits of a hit code that fail. `scaled`: 23 random bits, a fraction of 2^23, times n: its whole part is the bit and the
// rest decides on more. Where that hangs on the bits behind them, as here, they are drawn.
fn further_bits(hits: HitTable, stretch: u32, code: u32, scaled: u32) -> u32 {
  var slice = 0x80000000u | (code << 8u);
  var random = pcg4d(vec4u(stretch, slice, hits.key));
  // (fraction 2^32 + random.x) n: bits 55 and up are the bit, the 32 below them what decides on more.
  let carry = ((random.x >> 16u) * hits.bits + (((random.x & 0xffffu) * hits.bits) >> 16u)) >> 16u;
  let whole = scaled + carry;
  let draw = (whole << 9u) | ((random.x * hits.bits) >> 23u);
  var count = 1u;
  while (count < hits.bits && draw <= maps[hits.more + count - 1u]) { count++; }
  var mask = 1u << (whole >> 23u);
  var next = 4u;
  while (countOneBits(mask) < count) {
    if (next == 16u) {
      slice++;
      random = pcg4d(vec4u(stretch, slice, hits.key));
      next = 0u;
    }
    let bit = (random[next >> 2u] >> (8u * (next & 3u))) & (SLOT - 1u);
    next++;
    if (bit < hits.bits) { mask |= 1u << bit; }
  }
  return mask;
}

// decode(code XOR mask) - decode(code).
fn hit_change(format: Format, code: u32, mask: u32, row: u32) -> f32 {
  let both = decode4(format, vec4u(code, code ^ mask, 0u, 0u), row);
  return both.y - both.x;
}

// Code k of a row that begins at word `row_word` of the image.
fn code_at(row_word: u32, k: u32) -> u32 {
  let word = code_words[row_word + k * SLOT / 32u];
  if (SLOT == 32u) { return word; }
  return (word >> ((k * SLOT) & 31u)) & ((1u << (SLOT & 31u)) - 1u);
}
