import { describe, expect, it } from 'vitest';
import { BLOCK_CODES, fixedCodec, packCodes } from '../../src/memory/codec.ts';
import {
  drawCells,
  fetchTensor,
  type Key,
  readKey,
  flipTable as tableOf,
  tensorKey,
} from '../../src/memory/fault_sampler.ts';
import { decodeFixed } from '../../src/memory/fixed_point.ts';
import { bitsOfFloat } from '../../src/memory/floating_point.ts';
import { Random } from '../../src/random.ts';
import { uniformSampler } from '../support/memory.ts';
import { binomialSigmas, correlationSigmas, popcount } from '../support/statistics.ts';

/** The table of flips of a block of 16 codes of `bits` bits; below it the mask of a block, with codes stored in 16 bits. */
const flipTable = (bits: number, rate: number) => tableOf(BLOCK_CODES * bits, rate);
const blockMask = (key: Key, block: number, bits: number, table: Uint32Array) =>
  drawCells(key, block, 0, { storageBits: 16, firstBit: 0, bits, check: false }, table).subarray(0, 8);

const KEY = readKey(tensorKey(1, 0, 0), 0);

/** Bits of a packed word that codes of `bits` bits use. */
const usedBits = (bits: number) => ((2 ** bits - 1) * 0x10001) >>> 0;

describe('the table of flips', () => {
  it('the table of flips is empty at rate 0 and certain at rate 1', () => {
    expect(flipTable(12, 0)).toEqual(new Uint32Array(0));
    expect(flipTable(12, 1)).toEqual(new Uint32Array(192).fill(0xffffffff));
    expect(flipTable(16, 1)).toHaveLength(256);
  });

  it('the table of flips inverts the binomial distribution in steps of 2^-32', () => {
    // Tails by an exact recurrence in BigInt: P(K = k) with rate a / 2^20 and 16 n bits, as integers over 2^(20 * 16 n).
    for (const [bits, a] of [
      [2, 1],
      [3, 10486],
      [12, 10486],
      [12, 524288],
      [8, 943718],
      [16, 300000],
    ]) {
      const n = BLOCK_CODES * bits;
      const [p, q] = [BigInt(a), BigInt(2 ** 20 - a)];
      const total = 2n ** BigInt(20 * n);
      const table = flipTable(bits, a / 2 ** 20);
      let tail = total;
      let choose = 1n;
      for (let k = 0; k < n; k++) {
        tail -= choose * p ** BigInt(k) * q ** BigInt(n - k);
        choose = (choose * BigInt(n - k)) / BigInt(k + 1);
        const exact = Number((tail * 2n ** 40n) / total) / 256;
        const entry = k < table.length ? table[k] + 1 : 0;
        // Rounded to nearest; float64 adds next to nothing.
        expect(Math.abs(entry - exact), `${bits} bits, rate ${a} / 2^20, entry ${k}`).toBeLessThan(0.52);
      }
    }
  });

  it('the table of flips supports rates down to 2^-32', () => {
    // P(K >= 1) = 192 2^-32 up to a negligible difference, and P(K >= 2) rounds to zero.
    expect(flipTable(12, 2 ** -32)).toEqual(Uint32Array.of(191));
    expect(flipTable(2, 2 ** -32)).toEqual(Uint32Array.of(31));
  });

  it('the table of flips descends in k and rises with the rate, entry by entry', () => {
    const rates = [2 ** -32, 2 ** -20, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999, 1 - 2 ** -30, 1];
    for (const bits of [2, 7, 12, 16]) {
      let before = new Uint32Array(0);
      for (const rate of rates) {
        const table = flipTable(bits, rate);
        expect(table.length).toBeGreaterThanOrEqual(before.length);
        for (let k = 0; k < table.length; k++) {
          if (k > 0) expect(table[k]).toBeLessThanOrEqual(table[k - 1]);
          if (k < before.length) expect(table[k]).toBeGreaterThanOrEqual(before[k]);
        }
        before = table as Uint32Array<ArrayBuffer>;
      }
    }
  });
});

describe('rates of sampled faults', () => {
  it('rate 0 flips nothing, and rate 1 flips every bit of the code and no other', () => {
    for (const bits of [2, 5, 12, 16]) {
      for (let block = 0; block < 50; block++) {
        expect(blockMask(KEY, block, bits, flipTable(bits, 0))).toEqual(new Uint32Array(8));
        expect(blockMask(KEY, block, bits, flipTable(bits, 1))).toEqual(new Uint32Array(8).fill(usedBits(bits)));
      }
    }
  });

  // 4 sigma over 12 planes, 16 codes and the sum. 524288 blocks of 192 bits: 100.7 million bits per rate.
  it.each([0.01, 2 ** -8])(
    'rate %f is achieved in every bit plane and every code of a block over 10^8 bits, within 4 sigma',
    (rate) => {
      const blocks = 2 ** 19;
      const table = flipTable(12, rate);
      const places = new Float64Array(16 * 16);
      let squares = 0;
      for (let block = 0; block < blocks; block++) {
        const mask = blockMask(KEY, block, 12, table);
        let flips = 0;
        for (let i = 0; i < 8; i++) {
          for (let word = mask[i]; word !== 0; word &= word - 1) {
            const at = 31 - Math.clz32(word & -word);
            places[(2 * i + (at >>> 4)) * 16 + (at & 15)]++;
            flips++;
          }
        }
        squares += (flips - 192 * rate) ** 2;
      }
      const count = (inside: (code: number, bit: number) => boolean) =>
        places.reduce((sum, value, at) => (inside(at >> 4, at & 15) ? sum + value : sum), 0);
      for (let plane = 0; plane < 16; plane++) {
        const ones = count((_, bit) => bit === plane);
        if (plane >= 12) expect(ones).toBe(0);
        else expect(Math.abs(binomialSigmas(ones, blocks * 16, rate)), `plane ${plane}`).toBeLessThan(4);
      }
      for (let code = 0; code < 16; code++) {
        const sigmas = binomialSigmas(
          count((each) => each === code),
          blocks * 12,
          rate,
        );
        expect(Math.abs(sigmas), `code ${code}`).toBeLessThan(4);
      }
      expect(
        Math.abs(
          binomialSigmas(
            count(() => true),
            blocks * 192,
            rate,
          ),
        ),
      ).toBeLessThan(4);
      // The number of flips of a block has the binomial variance: bits of a block neither attract nor repel each other.
      // Its square has relative variance (kurtosis - 1), kurtosis = 3 + (1 - 6 p q) / (n p q).
      const pq = rate * (1 - rate);
      const sigma = Math.sqrt((2 + (1 - 6 * pq) / (192 * pq)) / blocks);
      expect(Math.abs(squares / (blocks * 192 * pq) - 1)).toBeLessThan(4 * sigma);
    },
  );

  it.each([
    [2, 0.3],
    [5, 0.05],
    [16, 0.5],
    [12, 0.9],
    [7, 0.999],
  ])('codes of %i bits achieve rate %f in every plane, within 4 sigma', (bits, rate) => {
    const blocks = 2 ** 14;
    const table = flipTable(bits, rate);
    const planes = new Float64Array(16);
    for (let block = 0; block < blocks; block++) {
      for (const word of blockMask(KEY, block, bits, table)) {
        for (let bit = 0; bit < 16; bit++) planes[bit] += ((word >>> bit) & 1) + ((word >>> (bit + 16)) & 1);
      }
    }
    for (let bit = 0; bit < 16; bit++) {
      if (bit >= bits) expect(planes[bit]).toBe(0);
      else expect(Math.abs(binomialSigmas(planes[bit], blocks * 16, rate)), `plane ${bit}`).toBeLessThan(4);
    }
  });

  it('rates down to 2^-20 are achieved over 10^8 bits, within 4 sigma', () => {
    const rate = 2 ** -20;
    const table = flipTable(12, rate);
    let ones = 0;
    for (let block = 0; block < 2 ** 19; block++)
      for (const word of blockMask(KEY, block, 12, table)) ones += popcount(word);
    expect(ones).toBeGreaterThan(50);
    expect(Math.abs(binomialSigmas(ones, 2 ** 19 * 192, rate))).toBeLessThan(4);
  });
});

/** Masks of consecutive blocks as one array of words. */
function maskWords(key: readonly [number, number], blocks: number, bits: number, rate: number, first = 0): Uint32Array {
  const table = flipTable(bits, rate);
  const words = new Uint32Array(8 * blocks);
  for (let block = 0; block < blocks; block++) words.set(blockMask(key, first + block, bits, table), 8 * block);
  return words;
}

/** Correlation of the bits at equal places of two arrays of masks, in standard deviations. */
function mapCorrelation(a: Uint32Array, b: Uint32Array, bits: number, rate: number): number {
  let [both, first, second] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    both += popcount(a[i] & b[i]);
    first += popcount(a[i]);
    second += popcount(b[i]);
  }
  return correlationSigmas(both, first, second, a.length * 2 * bits, rate);
}

// Every z-test below is held to 4.5 sigma (Bonferroni): of about 220 normal numbers one passes 4 sigma with probability
// 0.014, 4.5 sigma with probability 0.0015.
const LIMIT = 4.5;

describe('independence of sampled faults', () => {
  const BLOCKS = 2 ** 16;

  describe.each([
    [12, 0.25],
    [12, 0.02],
    [16, 0.5],
    [5, 0.1],
  ])('faults of %i bits at rate %f', (bits, rate) => {
    const map = maskWords(KEY, BLOCKS, bits, rate);
    const mask = usedBits(bits);

    it('neighbouring bits of a code are not correlated, at any distance', () => {
      for (let distance = 1; distance < bits; distance++) {
        const low = (mask >>> distance) & ((2 ** (bits - distance) - 1) * 0x10001);
        let [both, first, second] = [0, 0, 0];
        for (const word of map) {
          const shifted = (word >>> distance) & low;
          both += popcount(word & shifted);
          first += popcount(word & low);
          second += popcount(shifted);
        }
        const sigmas = correlationSigmas(both, first, second, map.length * 2 * (bits - distance), rate);
        expect(Math.abs(sigmas), `distance ${distance}`).toBeLessThan(LIMIT);
      }
    });

    it('neighbouring codes of a block are not correlated, at any distance', () => {
      const code = (word: number, i: number) => (word >>> (16 * (i & 1))) & 0xffff;
      for (let distance = 1; distance < BLOCK_CODES; distance++) {
        let [both, first, second] = [0, 0, 0];
        for (let block = 0; block < BLOCKS; block++) {
          for (let i = 0; i + distance < BLOCK_CODES; i++) {
            const x = code(map[8 * block + (i >> 1)], i);
            const y = code(map[8 * block + ((i + distance) >> 1)], i + distance);
            both += popcount(x & y);
            first += popcount(x);
            second += popcount(y);
          }
        }
        const pairs = BLOCKS * (BLOCK_CODES - distance) * bits;
        expect(Math.abs(correlationSigmas(both, first, second, pairs, rate)), `distance ${distance}`).toBeLessThan(
          LIMIT,
        );
      }
    });

    it('neighbouring blocks are not correlated', () => {
      for (const distance of [1, 2, 3, 4, 8, 16, 64, 256, 1024]) {
        const sigmas = mapCorrelation(map.subarray(0, -8 * distance), map.subarray(8 * distance), bits, rate);
        expect(Math.abs(sigmas), `distance ${distance}`).toBeLessThan(LIMIT);
      }
    });

    it('numbers of flips of neighbouring blocks are not correlated', () => {
      const flips = Float64Array.from({ length: BLOCKS }, (_, block) => {
        let sum = -16 * bits * rate;
        for (let i = 0; i < 8; i++) sum += popcount(map[8 * block + i]);
        return sum;
      });
      const variance = 16 * bits * rate * (1 - rate);
      for (const distance of [1, 2, 4, 16]) {
        let product = 0;
        for (let i = distance; i < BLOCKS; i++) product += flips[i] * flips[i - distance];
        expect(Math.abs(product / variance / Math.sqrt(BLOCKS - distance)), `distance ${distance}`).toBeLessThan(LIMIT);
      }
    });

    it('neighbouring reads, images, tensors, chips and seeds are not correlated', () => {
      const tensor = tensorKey(1, 0, 0);
      const others: Record<string, readonly [number, number]> = {
        'the next read': readKey(tensor, 1),
        'a read 2^20 later': readKey(tensor, 2 ** 20),
        'image 0 of the same read': readKey(tensor, 0, 0),
        'image 1 of the same read': readKey(tensor, 0, 1),
        'the next tensor': readKey(tensorKey(1, 0, 1), 0),
        'the next chip': readKey(tensorKey(1, 1, 0), 0),
        'the next seed': readKey(tensorKey(2, 0, 0), 0),
        'a seed with another high word': readKey(tensorKey(1 + 2 ** 32, 0, 0), 0),
      };
      for (const [name, key] of Object.entries(others)) {
        const other = maskWords(key, BLOCKS / 8, bits, rate);
        const sigmas = mapCorrelation(map.subarray(0, other.length), other, bits, rate);
        expect(Math.abs(sigmas), name).toBeLessThan(LIMIT);
        // Nor are they correlated if one is moved by a block.
        const moved = mapCorrelation(map.subarray(8, 8 + other.length), other, bits, rate);
        expect(Math.abs(moved), `${name}, moved`).toBeLessThan(LIMIT);
      }
    });
  });

  it('keys do not collide among 200 thousand reads of tensors, chips and images', () => {
    const keys = new Set<string>();
    let count = 0;
    for (let chip = 0; chip < 4; chip++) {
      for (let tensor = 0; tensor < 10; tensor++) {
        const key = tensorKey(7, chip, tensor);
        for (let read = 0; read < 50; read++) {
          for (let image = -1; image < 100; image++) {
            keys.add(readKey(key, read, image < 0 ? undefined : image).join());
            count++;
          }
        }
      }
    }
    expect(keys.size).toBe(count);
  });
});

describe('faults at rising rates', () => {
  const RATES = [
    2 ** -32,
    2 ** -24,
    1e-6,
    1e-5,
    1e-4,
    3e-4,
    1e-3,
    3e-3,
    0.01,
    0.03,
    0.0625,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.6,
    0.75,
    0.9,
    0.99,
    1,
  ];

  it.each([2, 3, 8, 12, 16])(
    'a bit that fails at one of 21 rising rates fails at every higher one, %i bits',
    (bits) => {
      const tables = RATES.map((rate) => flipTable(bits, rate));
      let [violations, grown] = [0, 0];
      for (let block = 0; block < 400; block++) {
        let below = new Uint32Array(8);
        for (const table of tables) {
          const mask = blockMask(KEY, block, bits, table);
          for (let i = 0; i < 8; i++) {
            if (below[i] & ~mask[i]) violations++;
            grown += popcount(mask[i] & ~below[i]);
          }
          below = mask as Uint32Array<ArrayBuffer>;
        }
      }
      expect(violations).toBe(0);
      expect(grown).toBe(400 * 16 * bits);
    },
  );
});

describe('fetching a tensor', () => {
  const random = new Random(5);
  const [rows, columns, stride, bits, exponent] = [7, 37, 48, 12, -9];
  const codes = Array.from({ length: rows * stride }, (_, i) => (i % stride < columns ? random.uniformInt(4096) : 0));
  const codec = fixedCodec(bits, exponent, 'corrected');
  const image = { words: packCodes(codes, 16), rows, columns, stride, codec };
  const read = (rate: number, of = image) => fetchTensor(of, uniformSampler(bits, KEY, rate));

  it('rate 0 gives the quantised weights exactly, and zeros in the pads', () => {
    const expected = Uint32Array.from(codes, (code) => bitsOfFloat(decodeFixed(code, bits, exponent)));
    expect(read(0)).toEqual(expected);
  });

  it('a word is decoded from code XOR mask', () => {
    const table = flipTable(bits, 0.2);
    const fetched = read(0.2);
    for (let at = 0; at < fetched.length; at++) {
      const mask = blockMask(KEY, at >> 4, bits, table)[(at & 15) >> 1] >>> (16 * (at & 1));
      const value = at % stride < columns ? decodeFixed(codes[at] ^ (mask & 0xffff), bits, exponent) : 0;
      expect(fetched[at]).toBe(bitsOfFloat(value));
    }
  });

  it('a fetch is the same on every call and does not depend on which rows are fetched together', () => {
    const whole = read(0.05);
    expect(read(0.05)).toEqual(whole);
    const head = read(0.05, { ...image, rows: 3, words: image.words.subarray(0, (3 * stride) / 2) });
    expect(head).toEqual(whole.subarray(0, 3 * stride));
  });
});
