import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { packCodes } from '../../src/memory/codec.ts';
import { ceilLog2, decodeFixed, encodeFixed, type FixedEncoding, fixedExponent } from '../../src/memory/fixed_point.ts';

interface Coded {
  exponent: number;
  codes: number[];
  decoded: number[];
  flipped: number[];
}

interface Codec extends Record<FixedEncoding, Coded> {
  bits: number;
  weights: number[];
  masks: number[];
}

const FOLDER = process.env.MIDAS_FIXTURES ?? fileURLToPath(new URL('../fixtures/', import.meta.url));
const codec: Codec = JSON.parse(readFileSync(join(FOLDER, 'codec.json'), 'utf8'));

/** Index of the first element that differs, if only in the sign of a zero; -1 if none does. */
const firstDifference = (actual: readonly number[], expected: readonly number[]) =>
  actual.length === expected.length ? actual.findIndex((value, i) => !Object.is(value, expected[i])) : actual.length;

describe.each<FixedEncoding>(['corrected', 'faithful'])('golden codec, %s', (encoding) => {
  const { bits, weights, masks } = codec;
  const golden = codec[encoding];
  const { exponent } = golden;

  it('golden codec: the file has as many codes as weights', () => {
    expect(weights.length).toBeGreaterThan(0);
    for (const list of [masks, golden.codes, golden.decoded, golden.flipped]) expect(list).toHaveLength(weights.length);
  });

  if (encoding === 'corrected') {
    it('golden codec: the exponent is computed from the largest weight', () => {
      const largest = Math.max(...weights.map(Math.abs));
      expect(fixedExponent(largest, bits, 0, 'corrected')).toBe(exponent);
    });
  }

  it('golden codec: every weight gets its code', () => {
    const codes = weights.map((weight) => encodeFixed(weight, bits, exponent, encoding));
    expect(firstDifference(codes, golden.codes)).toBe(-1);
  });

  it('golden codec: every code is decoded to its value, zeros with their sign', () => {
    const decoded = golden.codes.map((code) => decodeFixed(code, bits, exponent));
    expect(firstDifference(decoded, golden.decoded)).toBe(-1);
  });

  it('golden codec: every code with flipped bits is decoded to its value', () => {
    const flipped = golden.codes.map((code, i) => decodeFixed(code ^ masks[i], bits, exponent));
    expect(firstDifference(flipped, golden.flipped)).toBe(-1);
  });
});

describe('the exponent of one unit', () => {
  it('ceilLog2 is exact at powers of two and one ulp beside them', () => {
    const ulp = 2 ** -23;
    for (let e = -126; e <= 127; e++) {
      expect(ceilLog2(2 ** e)).toBe(e);
      if (e < 127) expect(ceilLog2(2 ** e * (1 + ulp))).toBe(e + 1);
      if (e > -126) expect(ceilLog2(2 ** e * (1 - ulp / 2))).toBe(e);
    }
  });

  it.each([2, 3, 5, 8, 12, 16])(
    'the largest weight of a tensor fits %i bits, and more than half of the range is used',
    (bits) => {
      const range = 2 ** (bits - 1);
      for (const largest of [2 ** -20, 0.007, 0.12, 0.5, 0.75, 1, 1.0000001, 3, 1e4]) {
        const unit = 2 ** fixedExponent(largest, bits, 0, 'corrected');
        const units = Math.fround(largest) / unit;
        expect(units).toBeLessThanOrEqual(range);
        expect(units).toBeGreaterThan(range / 2);
      }
    },
  );

  it('headroom raises the exponent bit by bit, and the published exponent is one higher', () => {
    for (const largest of [0.3, 1, 7]) {
      const plain = fixedExponent(largest, 12, 0, 'corrected');
      expect(fixedExponent(largest, 12, 3, 'corrected')).toBe(plain + 3);
      expect(fixedExponent(largest, 12, 0, 'faithful')).toBe(plain + 1);
    }
  });

  it('the exponent of a tensor without positive weights is that of 1', () => {
    for (const largest of [0, -0, -3]) {
      expect(fixedExponent(largest, 12, 0, 'corrected')).toBe(fixedExponent(1, 12, 0, 'corrected'));
    }
  });
});

describe('codes of fixed point', () => {
  const BITS = Array.from({ length: 15 }, (_, i) => i + 2);

  it.each(BITS)('codes of %i bits encode the values to which they decode, in both encodings', (bits) => {
    for (const encoding of ['corrected', 'faithful'] as const) {
      for (let code = 0; code < 2 ** bits; code++) {
        if (code === 2 ** (bits - 1)) continue; // minus zero
        const value = decodeFixed(code, bits, -5);
        if (encodeFixed(value, bits, -5, encoding) !== code) expect({ code, value }).toBeUndefined();
      }
    }
  });

  it('the corrected encoding rounds halves to even and saturates', () => {
    const code = (weight: number) => encodeFixed(weight, 4, 0, 'corrected');
    expect([0.49, 0.5, 0.51, 1.5, 2.5, 3.5, 6.5, 7.49, 7.5, 8, 1e30].map(code)).toEqual([
      0, 0, 1, 2, 2, 4, 6, 7, 7, 7, 7,
    ]);
    expect([-0.51, -2.5, -1e30].map(code)).toEqual([9, 10, 15]);
  });

  it('the faithful encoding truncates toward zero and wraps', () => {
    const code = (weight: number) => encodeFixed(weight, 4, 0, 'faithful');
    expect([0.99, 1.99, 7.99, 8, 9.5, 16.2].map(code)).toEqual([0, 1, 7, 0, 1, 0]);
    expect([-0.99, -1.99, -9.5].map(code)).toEqual([8, 9, 9]);
  });

  it('zero of either sign is code 0, never a NaN; the sign bit alone is minus zero', () => {
    for (const encoding of ['corrected', 'faithful'] as const) {
      expect(encodeFixed(0, 12, -10, encoding)).toBe(0);
      expect(encodeFixed(-0, 12, -10, encoding)).toBe(0);
    }
    expect(Object.is(decodeFixed(0, 12, -10), 0)).toBe(true);
    expect(Object.is(decodeFixed(2048, 12, -10), -0)).toBe(true);
  });

  it('two codes are packed per word, the even one in the low half', () => {
    expect(packCodes([1, 2, 3, 0xffff, 5], 16)).toEqual(Uint32Array.of(0x00020001, 0xffff0003, 5));
  });
});
