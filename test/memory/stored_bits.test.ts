import { describe, expect, it } from 'vitest';
import { fixedCodec } from '../../src/memory/codec.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { type FaultSource, faultSources } from '../../src/memory/faults.ts';
import { floatOfBits } from '../../src/memory/floating_point.ts';
import { asStored, avoidedValue, bitsBySignificance } from '../../src/memory/stored_bits.ts';
import { Random } from '../../src/random.ts';

type Layer = Extract<MemoryConfigInput['layers'][string], { kind: 'stored' }>;

function sourcesOf(layer: Omit<Layer, 'kind'>): FaultSource[] {
  const memory = parseMemoryConfig({ layers: { fc1: { kind: 'stored', ...layer } } }, ['fc1']).layers.fc1;
  if (memory.kind !== 'stored') throw new Error('not stored');
  return faultSources(memory, 0, 'memory.layers.fc1');
}

/** Bits with this value among the lowest `bits` of every code. */
function countOf(block: Uint32Array, storageBits: number, bits: number, value: 0 | 1): number {
  let count = 0;
  for (const word of block) {
    for (let bit = 0; bit < 32; bit++) if (bit % storageBits < bits && ((word >>> bit) & 1) === value) count++;
  }
  return count;
}

describe('inverted storage of blocks', () => {
  it.each([
    [16, 12],
    [16, 16],
    [8, 8],
    [8, 7],
    [4, 3],
    [32, 32],
    [32, 30],
  ] as const)(
    'holds at most half of the cells of a block in the avoided state: codes of %d bits, %d used',
    (storageBits, bits) => {
      const random = new Random(9);
      let inverted = 0;
      for (let trial = 0; trial < 200; trial++) {
        // Unused bits are zero, as encoding leaves them; some blocks are nearly empty, some nearly full.
        const used = new Uint32Array(storageBits / 2).map(() =>
          bits === storageBits ? 0xffffffff : usedMask(storageBits, bits),
        );
        const block = used.map((mask) => {
          const [a, b] = [random.nextU32(), random.nextU32()];
          return (trial % 3 === 0 ? a : trial % 3 === 1 ? a & b : a | b) & mask;
        });
        for (const avoided of ['one', 'zero'] as const) {
          const value = avoided === 'one' ? 1 : 0;
          const held = asStored(block, { storageBits, bits, avoided });
          const [before, after] = [block, held].map((words) => countOf(words, storageBits, bits, value));
          expect(after).toBe(Math.min(before, 16 * bits - before));
          const change = held.map((word, i) => (word ^ block[i]) >>> 0);
          expect(
            [...new Set(change)].every((word, i, all) => all.length === 1 && (word === 0 || word === used[i])),
          ).toBe(true);
          if (change[0] !== 0) inverted++;
        }
        expect(asStored(block, { storageBits, bits, avoided: 'none' })).toEqual(block);
      }
      expect(inverted).toBeGreaterThan(50);
    },
  );

  it('avoids the value that the faults of the memory change more often', () => {
    const avoided = (faults: Layer['faults']) => avoidedValue(sourcesOf({ faults }));
    expect(avoided([{ kind: 'asymmetric', zeroToOne: 0.01, oneToZero: 0.02 }])).toBe('one');
    expect(avoided([{ kind: 'asymmetric', zeroToOne: 0.02, oneToZero: 0.01 }])).toBe('zero');
    expect(avoided([{ kind: 'stuck-at', zero: 0.02, one: 0.01 }])).toBe('one');
    expect(avoided([{ kind: 'eden', model: 'EM3', weakCells: 0.1, failureOfOnes: 0.1, failureOfZeros: 0.2 }])).toBe(
      'zero',
    );
    expect(avoided([{ kind: 'uniform', bitErrorRate: 0.1 }])).toBe('none');
    expect(avoided([{ kind: 'clustered', lines: 0.2, bitErrorRate: 0.1 }])).toBe('none');
    const both = [
      { kind: 'uniform', bitErrorRate: 0.1 },
      { kind: 'asymmetric', zeroToOne: 0, oneToZero: 1e-6 },
    ] as const;
    expect(avoided([...both])).toBe('one');
  });
});

function usedMask(storageBits: number, bits: number): number {
  let mask = 0;
  for (let bit = 0; bit < 32; bit++) if (bit % storageBits < bits) mask |= 1 << bit;
  return mask >>> 0;
}

describe('reordered bits of codes', () => {
  it('the most significant bit gets the best place, and cells that are drawn stay the same', () => {
    const faults: Layer['faults'] = [{ kind: 'bit-plane', rates: [0.01, 0, 0.03, 0.02] }];
    const format = { kind: 'int4' } as const;
    const plain = sourcesOf({ format, faults });
    const placed = sourcesOf({ format, faults, reordered: true });
    // Places from the best: 1, 0, 3, 2; they hold bits 3, 2, 1, 0.
    expect(placed.map(({ firstBit, rate }) => [firstBit, rate])).toEqual([
      [2, 0.01],
      [3, 0],
      [0, 0.03],
      [1, 0.02],
    ]);
    expect(placed.map(({ salt }) => salt)).toEqual(plain.map(({ salt }) => salt));
  });

  it('bits stay in their places if all places are equally good, and protected bits stay in theirs', () => {
    const faults: Layer['faults'] = [{ kind: 'bit-plane', rates: [0.1, 0.1, 0.1, 0.1, 0.1, 0.1] }];
    const layer = { format: { kind: 'int8' } as const, faults, protectedBits: 2 };
    expect(sourcesOf({ ...layer, reordered: true })).toEqual(sourcesOf(layer));
  });

  it('in floating point the exponent comes before the sign', () => {
    expect(bitsBySignificance({ kind: 'fp16', nonFinite: 'zero' }, 16, 16).slice(0, 8)).toEqual([
      14, 13, 12, 11, 10, 15, 9, 8,
    ]);
    expect(bitsBySignificance({ kind: 'int4', scale: 'per-tensor' }, 4, 3)).toEqual([2, 1, 0]);
  });

  it('faults that do not know the places are refused', () => {
    expect(() => sourcesOf({ faults: [{ kind: 'uniform', bitErrorRate: 0.1 }], reordered: true })).toThrow(
      /memory\.layers\.fc1\.reordered: only faults of the model bit-plane/,
    );
  });
});

describe("fixed point in two's complement", () => {
  it.each([2, 5, 12, 16])('%d bits have the values of sign-magnitude, and codes of integers', (bits) => {
    const exponent = -9;
    const [magnitude, complement] = [
      fixedCodec(bits, exponent, 'corrected'),
      fixedCodec(bits, exponent, 'corrected', 'twos-complement'),
    ];
    const range = 2 ** (bits - 1);
    for (let i = -2 * range; i <= 2 * range; i += Math.max(1, range / 64)) {
      const weight = (i + 0.25) * 2 ** exponent;
      const code = complement.encode(weight, 0);
      const value = floatOfBits(complement.decode(code, 0));
      expect(value + 0).toBe(floatOfBits(magnitude.decode(magnitude.encode(weight, 0), 0)) + 0);
      expect(code).toBe((value / 2 ** exponent + 2 ** bits) % 2 ** bits);
    }
    expect(floatOfBits(complement.decode(range, 0))).toBe(-range * 2 ** exponent);
  });

  it('the published encoding is refused', () => {
    const format = { kind: 'fixed', encoding: 'faithful', representation: 'twos-complement' } as const;
    expect(() => sourcesOf({ format })).toThrow(
      /representation: the faithful encoding is sign-magnitude; use corrected/,
    );
  });
});
