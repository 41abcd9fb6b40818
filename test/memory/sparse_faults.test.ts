import { describe, expect, it } from 'vitest';
import type { StorageBits } from '../../src/memory/codec.ts';
import { readKey, tensorKey } from '../../src/memory/fault_sampler.ts';
import { forEachSparseFault, STRETCH, sparseFaultTables } from '../../src/memory/sparse_faults.ts';
import { binomialPValue } from '../../src/metrics/binomial.ts';
import { popcount } from '../support/statistics.ts';

const KEY = readKey(tensorKey(4, 0, 0), 0, 7);

/** Masks of the codes of one stretch. */
function masks(stretch: number, bits: number, storageBits: StorageBits, rate: number, key = KEY): Uint32Array {
  const found = new Uint32Array(STRETCH);
  forEachSparseFault(key, stretch, { bits, storageBits }, sparseFaultTables(bits, rate), (code, mask) => {
    expect(found[code]).toBe(0);
    found[code] = mask;
  });
  return found;
}

// A count that is less likely than 10^-6 fails the test; about 200 counts are tested.
describe.each([
  [12, 16],
  [8, 8],
  [3, 4],
  [32, 32],
] as const)('sparse faults of codes of %i bits', (bits, storageBits) => {
  it.each([0.001, 0.02, 0.3])('every bit plane fails at the rate %f, and bits of a code fail independently', (rate) => {
    const stretches = rate < 0.01 ? 4000 : 400;
    const planes = new Float64Array(bits);
    const byCount = new Float64Array(bits + 1);
    for (let stretch = 0; stretch < stretches; stretch++) {
      for (const mask of masks(stretch, bits, storageBits, rate)) {
        byCount[popcount(mask)]++;
        for (let bit = 0; bit < bits; bit++) planes[bit] += (mask >>> bit) & 1;
      }
    }
    const codes = stretches * STRETCH;
    for (const [plane, count] of planes.entries()) {
      expect(binomialPValue(count, codes, rate), `plane ${plane}`).toBeGreaterThan(1e-6);
    }
    // The numbers of codes with no, one and two failing bits are those of independent bits.
    let probability = (1 - rate) ** bits;
    for (let k = 0; k < 3; k++) {
      expect(binomialPValue(byCount[k], codes, probability), `${k} bits`).toBeGreaterThan(1e-6);
      probability *= ((bits - k) / (k + 1)) * (rate / (1 - rate));
    }
  });

  it('sparse faults are nested: a bit that fails at one rate fails at every higher one, up to all bits at rate 1', () => {
    const rates = [1e-6, 1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 0.95, 1];
    for (let stretch = 0; stretch < 20; stretch++) {
      let below = new Uint32Array(STRETCH);
      for (const rate of rates) {
        const here = masks(stretch, bits, storageBits, rate);
        expect(here.some((mask, code) => (below[code] & ~mask) !== 0)).toBe(false);
        below = here as Uint32Array<ArrayBuffer>;
      }
      expect(below.every((mask) => mask === (bits === 32 ? 0xffffffff : 2 ** bits - 1))).toBe(true);
    }
  });
});

it('faults of images and of passes are independent', () => {
  const rate = 0.05;
  const other = readKey(tensorKey(4, 0, 0), 0, 8);
  const pass = readKey(tensorKey(4, 0, 0), 1, 7);
  for (const [name, key] of Object.entries({ other, pass })) {
    let both = 0;
    const stretches = 300;
    for (let stretch = 0; stretch < stretches; stretch++) {
      const [a, b] = [masks(stretch, 12, 16, rate), masks(stretch, 12, 16, rate, key)];
      for (let code = 0; code < STRETCH; code++) both += popcount(a[code] & b[code]);
    }
    expect(binomialPValue(both, stretches * STRETCH * 12, rate * rate), name).toBeGreaterThan(1e-6);
  }
});

it('no code is faulty at rate 0', () => {
  expect(masks(0, 12, 16, 0).every((mask) => mask === 0)).toBe(true);
});
