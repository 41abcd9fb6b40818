import { expect, it } from 'vitest';
import { type LayerMemory, parseMemoryConfig } from '../../src/memory/config.ts';
import { behaviourOf, FAULT_MODELS, type FaultModel } from '../../src/memory/faults/registry.ts';
import { faultSources, meanErrorRate, supplyVolts } from '../../src/memory/faults.ts';

const read = { drawn: 'read' } as const;
const lines = [{ share: 0.5, weakCells: 0.1, failure: 1 }];
/** A model of every kind, whether it needs addresses, and how many sources it has on a memory of 12 bits. */
const SAMPLES: readonly (readonly [FaultModel, needsAddresses: boolean, sources: number])[] = [
  [{ kind: 'uniform', bitErrorRate: 0.1, ...read }, false, 1],
  [{ kind: 'asymmetric', zeroToOne: 0.1, oneToZero: 0.2, ...read }, false, 2],
  [{ kind: 'stuck-at', zero: 0.1, one: 0.2 }, false, 2],
  [{ kind: 'bit-plane', rates: [0.1, 0.2, 0.3], ...read }, false, 3],
  [{ kind: 'eden', model: 'EM0', weakCells: 0.1, failure: 0.5 }, false, 1],
  [{ kind: 'eden', model: 'EM1', lines }, true, 1],
  [{ kind: 'eden', model: 'EM2', lines }, true, 1],
  [{ kind: 'eden', model: 'EM3', weakCells: 0.1, failureOfOnes: 0.5, failureOfZeros: 0.4 }, false, 2],
  [{ kind: 'clustered', lines: 0.1, bitErrorRate: 0.05, ...read }, true, 1],
  [{ kind: 'voltage', vendor: 'C', volts: 1.2, bitErrorRate: 0.05, ...read }, true, 1],
  [{ kind: 'rows', volts: 1.2, bitErrorRate: 0.05, ...read }, true, 1],
  [{ kind: 'latency', vendor: 'B', tRCD: 7.5, ...read }, true, 2],
  [{ kind: 'sram-chip', profile: 'chip1-high' }, false, 4],
];

const stored = (faults: FaultModel[]): LayerMemory => {
  return parseMemoryConfig({ layers: { fc1: { kind: 'stored', faults } } }, ['fc1']).layers.fc1;
};

it('the samples cover all registered models, one sample per kind', () => {
  const kinds = FAULT_MODELS.map(({ kind }) => kind);
  expect(new Set(kinds).size).toBe(kinds.length);
  expect(new Set(SAMPLES.map(([{ kind }]) => kind)), 'add a sample of the model to SAMPLES').toEqual(new Set(kinds));
});

it.each(SAMPLES)('the behaviour of %o is registered, with its number of sources', (model, needsAddresses, sources) => {
  expect(behaviourOf(model).kind).toBe(model.kind);
  expect(behaviourOf(model).needsAddresses?.(model) ?? false).toBe(needsAddresses);
  const memory = stored([model]);
  if (memory.kind !== 'stored') throw new Error('not stored');
  expect(faultSources(memory, 0)).toHaveLength(sources);
});

it('the supply voltage is the lowest that a model names, and nominal otherwise', () => {
  const voltage = (volts: number): FaultModel => ({ kind: 'voltage', vendor: 'C', volts, bitErrorRate: 0.05, ...read });
  expect(supplyVolts(stored([voltage(1.25), voltage(1.2), SAMPLES[0][0]]))).toBe(1.2);
  expect(supplyVolts(stored([SAMPLES[0][0]]))).toBe(1.35);
  expect(supplyVolts(stored([]))).toBe(1.35);
  expect(supplyVolts({ kind: 'gaussian', scale: 0.1 })).toBe(1.35);
});

it('a bit that several fault models fail counts once in the mean bit error rate', () => {
  const uniform = (bitErrorRate: number): FaultModel => ({ kind: 'uniform', bitErrorRate, ...read });
  const meanOf = (...faults: FaultModel[]) => {
    const memory = stored(faults);
    if (memory.kind !== 'stored') throw new Error('not stored');
    return meanErrorRate(memory, 0, 'memory');
  };
  expect(meanOf(uniform(0.1))).toBe(0.1);
  expect(meanOf(uniform(1), uniform(1))).toBe(1);
  expect(meanOf(uniform(0.5), uniform(0.5), uniform(0.5))).toBe(0.875);
  expect(meanOf({ kind: 'bit-plane', rates: Array(12).fill(0.25), ...read }, uniform(0.5))).toBeCloseTo(0.625, 12);
  expect(() => meanOf(uniform(0.1), { kind: 'bit-plane', rates: Array(13).fill(0), ...read })).toThrow(
    /memory\.faults\.1\.rates/,
  );
});
