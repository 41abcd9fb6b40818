import { describe, expect, it } from 'vitest';
import { secdedCheck, secdedDecode } from '../../src/memory/secded.ts';
import { Random } from '../../src/random.ts';
import { allErrors, bitsOf, check, decode, randomErrors, syndrome, wordsOf } from '../../src/reference/secded.ts';

/**
 * Counts the outcomes of the decoder and of its reference. An `expect` per pattern would be slow.
 * @throws Error with the first pattern for which they differ
 */
function compare(patterns: Iterable<number[]>) {
  const counts = { clean: 0, corrected: 0, detected: 0 };
  const reference = { ...counts };
  for (const errors of patterns) {
    const actual = secdedDecode(...wordsOf(errors));
    const expected = decode(errors);
    const [low, high] = wordsOf(expected.errors);
    if (actual.low !== low || actual.high !== high || actual.outcome !== expected.outcome) {
      throw new Error(`errors at ${errors}: got ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
    }
    counts[actual.outcome]++;
    reference[expected.outcome]++;
  }
  return { counts, reference };
}

describe('decoding of codewords', () => {
  it('a codeword without an error is clean', () => {
    expect(secdedDecode(0, 0, 0)).toEqual({ low: 0, high: 0, outcome: 'clean' });
  });

  it('every single error is corrected', () => {
    for (const errors of allErrors(1)) {
      expect(secdedDecode(...wordsOf(errors)), `bit ${errors}`).toEqual({ low: 0, high: 0, outcome: 'corrected' });
    }
  });

  it('every double error is detected and left as it is', () => {
    let count = 0;
    for (const errors of allErrors(2)) {
      const [low, high, checkBits] = wordsOf(errors);
      expect(secdedDecode(low, high, checkBits), `bits ${errors}`).toEqual({ low, high, outcome: 'detected' });
      count++;
    }
    expect(count).toBe((72 * 71) / 2);
  });

  it('every triple error agrees with the reference: 76 % are miscorrected, the rest detected', () => {
    const { counts, reference } = compare(allErrors(3));
    expect(counts).toEqual(reference);
    // Positions are 0..71 with the overall parity at 0, so a triple is miscorrected when its XOR is below 72: four triples
    // for each set of four positions with XOR 0. Such sets with all positions below 64: 64 63 62 / 24. Two below 64: 28 pairs in
    // 64..71 times 32 pairs below. None below 64: 8 7 6 / 24.
    expect(counts).toEqual({ clean: 0, corrected: 4 * (10416 + 28 * 32 + 14), detected: 59640 - 45304 });
  });

  it('random patterns of four to eight errors agree with the reference', () => {
    const random = new Random(1);
    const patterns = Array.from({ length: 100_000 }, (_, i) => randomErrors(random, 4 + (i % 5)));
    const { counts, reference } = compare(patterns);
    expect(counts).toEqual(reference);
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(0);
  });
});

describe('check bits of words', () => {
  const random = new Random(2);
  const words = Array.from({ length: 10_000 }, () => [random.nextU32(), random.nextU32()]);

  it('check bits agree with the matrix, and a codeword has no syndrome', () => {
    for (const [low, high] of [...words, [0, 0], [0xffffffff, 0xffffffff]]) {
      const actual = secdedCheck(low, high);
      expect(actual).toBe(check(bitsOf(low, high, 0)));
      expect(syndrome(bitsOf(low, high, actual))).toBe(0);
      expect(secdedDecode(low, high, actual)).toEqual({ low, high, outcome: 'clean' });
    }
  });

  it('the result of decoding an error pattern does not depend on the stored word', () => {
    words.forEach(([low, high], i) => {
      const [errorLow, errorHigh, errorCheck] = wordsOf(randomErrors(random, i % 73));
      const left = secdedDecode(errorLow, errorHigh, errorCheck);
      const read = secdedDecode(low ^ errorLow, high ^ errorHigh, secdedCheck(low, high) ^ errorCheck);
      expect(read).toEqual({ low: (low ^ left.low) >>> 0, high: (high ^ left.high) >>> 0, outcome: left.outcome });
    });
  });
});
