import { expect, it } from 'vitest';
import { formatBits } from '../../src/memory/codec.ts';
import { type NumberFormat, parseMemoryConfig, uniformMemory } from '../../src/memory/config.ts';
import { meanErrorRate } from '../../src/memory/faults.ts';
import { PLANES, planeMemory, planeOf } from '../../src/memory/planes.ts';
import { MEMORIES } from '../support/memories.ts';

const formats = Object.values(MEMORIES).map((memory) => {
  const { layers } = parseMemoryConfig({ layers: { fc1: memory } }, ['fc1']);
  if (layers.fc1.kind !== 'stored') throw new Error('noise has no format');
  return layers.fc1.format;
});
const stored = (format: NumberFormat, plane: (typeof PLANES)[number]) => {
  const memory = planeMemory(format, 0.25, plane);
  return memory && parseMemoryConfig({ layers: { fc1: memory } }, ['fc1']).layers.fc1;
};

it('every bit of every format is of exactly one kind, the highest a sign', () => {
  for (const format of formats) {
    const failing = PLANES.flatMap((plane) => {
      const [fault] = planeMemory(format, 0.25, plane)?.faults ?? [];
      if (fault?.kind !== 'bit-plane') return [];
      return [...fault.rates.keys()].filter((bit) => fault.rates[bit] > 0).map((bit) => ({ bit, plane }));
    });
    expect(failing.map(({ bit }) => bit).sort((a, b) => a - b)).toEqual([...Array(formatBits(format)).keys()]);
    expect(failing.find(({ bit }) => bit === formatBits(format) - 1)).toMatchObject({ plane: 'sign' });
  }
});

it('the exponent of floating point is its high bits, and a format of two bits has no low ones', () => {
  const of = (kind: 'fp32' | 'fp16' | 'bf16') => {
    const memory = stored({ kind, nonFinite: 'saturate' }, 'high')!;
    return Math.round(planeOf(memory)!.share * formatBits({ kind, nonFinite: 'saturate' }));
  };
  expect([of('fp32'), of('fp16'), of('bf16')]).toEqual([8, 5, 8]);
  const two = formats.find((format) => formatBits(format) === 2)!;
  expect(planeMemory(two, 0.1, 'low')).toBeUndefined();
});

it('a memory of one kind of bits is recognised with its rate and its share of the flips, and no other memory is', () => {
  for (const format of formats) {
    for (const plane of PLANES) {
      const memory = stored(format, plane);
      if (memory?.kind !== 'stored') continue;
      const found = planeOf(memory)!;
      expect(found).toMatchObject({ plane, rate: 0.25 });
      expect(meanErrorRate(memory, 0, 'fc1')).toBeCloseTo(0.25 * found.share, 12);
      expect(planeOf({ ...memory, protectedBits: 1 })).toBeUndefined();
    }
    expect(planeOf(uniformMemory(format, 0.25))).toBeUndefined();
  }
});
