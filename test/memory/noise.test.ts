import { describe, expect, it } from 'vitest';
import { type Codec, fixedCodec, integerCodec, packCodes } from '../../src/memory/codec.ts';
import { readKey, tensorKey } from '../../src/memory/fault_sampler.ts';
import { decodeFixed } from '../../src/memory/fixed_point.ts';
import { floatOfBits } from '../../src/memory/floating_point.ts';
import { flipVariance, noiseTensor } from '../../src/memory/noise.ts';
import { moments } from '../support/statistics.ts';

const KEY = readKey(tensorKey(3, 0, 1), 5);
const COUNT = 2 ** 20;

/** Even moments at scale 1. A sample's m2 has variance (m4 - m2^2) / n, its m4 has (m8 - m4^2) / n. */
const DISTRIBUTIONS = {
  gaussian: { variance: 1, fourth: 3, eighth: 105 },
  laplacian: { variance: 2, fourth: 24, eighth: 40320 },
} as const;

describe.each(['gaussian', 'laplacian'] as const)('samples of %s noise', (kind) => {
  const { variance, fourth, eighth } = DISTRIBUTIONS[kind];
  const noise = noiseTensor(new Float32Array(COUNT), COUNT, COUNT, KEY, kind, 1);

  it('noise has the mean, variance and fourth moment of its distribution, within 4 sigma', () => {
    const measured = moments(noise);
    expect(Math.abs(measured.mean) / Math.sqrt(variance / COUNT)).toBeLessThan(4);
    expect(Math.abs(measured.variance - variance) / Math.sqrt((fourth - variance ** 2) / COUNT)).toBeLessThan(4);
    const measuredFourth = measured.kurtosis * measured.variance ** 2;
    expect(Math.abs(measuredFourth - fourth) / Math.sqrt((eighth - fourth ** 2) / COUNT)).toBeLessThan(4);
    // The normal distribution has kurtosis 3 and the Laplacian 6, so this tells them apart.
    expect(Math.abs(measured.kurtosis - fourth / variance ** 2)).toBeLessThan(0.3);
  });

  it('noise is symmetric and its neighbours are not correlated, within 4 sigma', () => {
    const positive = noise.reduce((sum, value) => sum + (value > 0 ? 1 : 0), 0);
    expect(Math.abs(positive - COUNT / 2) / Math.sqrt(COUNT / 4)).toBeLessThan(4);
    for (const distance of [1, 2, 3, 4, 8, 64]) {
      let product = 0;
      for (let i = distance; i < COUNT; i++) product += noise[i] * noise[i - distance];
      expect(Math.abs(product) / variance / Math.sqrt(COUNT - distance), `distance ${distance}`).toBeLessThan(4);
    }
  });

  it('another read has other noise', () => {
    const other = noiseTensor(new Float32Array(2 ** 16), 2 ** 16, 2 ** 16, readKey(tensorKey(3, 0, 1), 6), kind, 1);
    let product = 0;
    for (let i = 0; i < other.length; i++) product += noise[i] * other[i];
    expect(Math.abs(product) / variance / Math.sqrt(other.length)).toBeLessThan(4);
  });

  it('noise times its scale is added to the weights, and pads stay zero', () => {
    const [rows, columns, stride] = [3, 5, 16];
    const weights = Float32Array.from({ length: rows * stride }, (_, i) => (i % stride < columns ? i / 8 : 0));
    const unit = noiseTensor(new Float32Array(rows * stride), columns, stride, KEY, kind, 1);
    const noisy = noiseTensor(weights, columns, stride, KEY, kind, 0.25);
    for (let i = 0; i < noisy.length; i++) {
      expect(noisy[i]).toBe(i % stride < columns ? weights[i] + 0.25 * unit[i] : 0);
    }
    expect(noiseTensor(weights, columns, stride, KEY, kind, 0)).toEqual(Float64Array.from(weights));
  });
});

describe('the mean squared change by bit flips', () => {
  /** Mean over the codes of the squared change by every mask, weighted with the probability of the mask. */
  function bruteForce(codes: readonly number[], { bits, decode }: Codec, rate: number): number {
    const value = (code: number) => floatOfBits(decode(code, 0));
    let sum = 0;
    for (const code of codes) {
      for (let mask = 0; mask < 2 ** bits; mask++) {
        let flips = 0;
        for (let word = mask; word !== 0; word &= word - 1) flips++;
        sum += rate ** flips * (1 - rate) ** (bits - flips) * (value(code ^ mask) - value(code)) ** 2;
      }
    }
    return sum / codes.length;
  }

  const variance = (codes: readonly number[], codec: Codec, signMagnitude: boolean, rate: number) => {
    const shape = { rows: 1, columns: codes.length, stride: codes.length };
    return flipVariance(packCodes(codes, codec.storageBits), shape, codec, signMagnitude, rate);
  };

  const CODECS: readonly (readonly [string, Codec, boolean])[] = [
    ...[2, 3, 4, 6, 8].map((bits) => [`fixed${bits}`, fixedCodec(bits, -3, 'corrected'), true] as const),
    ['int4', integerCodec(4, [{ scale: 0.5, inverse: 2 }]), false],
    ['int8', integerCodec(8, [{ scale: 0.25, inverse: 4 }]), false],
  ];

  it.each(CODECS)('the mean squared change agrees with a sum over all masks, %s', (_, codec, signMagnitude) => {
    const { bits } = codec;
    const codes = Array.from({ length: Math.min(2 ** bits, 64) }, (_, i) => (i * 37) % 2 ** bits);
    for (const rate of [2 ** -32, 1e-3, 0.01, 0.3, 0.5, 0.9]) {
      for (const some of [codes, [0], [2 ** bits - 1], [2 ** (bits - 1)]]) {
        const expected = bruteForce(some, codec, rate);
        expect(Math.abs(variance(some, codec, signMagnitude, rate) - expected)).toBeLessThanOrEqual(1e-12 * expected);
      }
    }
  });

  it('the mean squared change is zero at rate 0 and that of the opposite code at rate 1', () => {
    expect(variance([0, 5, 2047, 2048, 4095], fixedCodec(12, -4, 'corrected'), true, 0)).toBe(0);
    expect(variance([5], fixedCodec(8, 0, 'corrected'), true, 1)).toBe((decodeFixed(5 ^ 255, 8, 0) - 5) ** 2);
  });
});
