import { beforeAll, expect, it } from 'vitest';
import { type AllocateReport, allocateMemory } from '../../src/experiments/allocate.ts';
import type { ExperimentConfig } from '../../src/experiments/config.ts';
import { type ExperimentData, proceduralData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();

/** Memories whose least energy is known: int8 has a quarter of the bytes of exact weights, int4 with random bits ruins the network. */
const named = (name: string, layers: object, more = {}) => ({
  name,
  setting: name,
  memory: { granularity: 'load', layers, ...more },
});
const stored = (format: string, bitErrorRate: number) => ({
  kind: 'stored',
  format: { kind: format },
  faults: bitErrorRate > 0 ? [{ kind: 'uniform', bitErrorRate }] : [],
});
const MEMORIES = [
  named('eight bits', { '*': stored('int8', 0) }),
  named('four bits that all fail', { '*': stored('int4', 0.5) }),
];
const { victim } = configuration('mlp');
const optimizer = { kind: 'adam', learningRate: 5e-3, betas: [0.9, 0.999], epsilon: 1e-8, amsgrad: false };
const trained = { ...victim, hidden: [24], training: { ...victim.training, epochs: 40, batchSize: 32, optimizer } };
const config = (changes: object): ExperimentConfig =>
  configuration('mlp', { victim: trained, sweeps: [], draws: 1, ...changes });

let data: ExperimentData;
const store = new InMemoryRunStore();
const found = (changes: object, least: 'leak' | 'energy', budgets: readonly number[]): Promise<AllocateReport> => {
  const run = { store, progress: SILENT, signal: new AbortController().signal };
  return allocateMemory(device.gpu, data, config(changes), run, { least, budgets });
};
beforeAll(async () => {
  const { data: faces, seed } = config({});
  if (faces.kind !== 'procedural') throw new Error('the faces must be procedural');
  data = await proceduralData(device.gpu, faces, seed);
});

it('the planted memory of least energy is found for every layer, and is a memory that a run takes', async () => {
  const { allocations, measured } = await found({ memories: MEMORIES }, 'energy', [0.05]);
  const [{ layers, confirmed, holds, memory, searched }] = allocations;
  expect(confirmed.accuracy.mean).toBeGreaterThan(0.5);
  expect(layers).toEqual({ fc1: 'eight bits', fc2: 'eight bits' });
  expect(holds).toBe(true);
  expect(confirmed.energy).toBeCloseTo(1 / 4, 2);
  expect(confirmed.energy).toBe(searched.energy);
  expect(measured).toBeLessThanOrEqual(9);
  expect(parseMemoryConfig(memory, ['fc1', 'fc2']).layers.fc1).toMatchObject({ format: { kind: 'int8' } });
});

it('for all accuracy, the memory without any information leaks least', async () => {
  const { allocations } = await found({ memories: MEMORIES }, 'leak', [1]);
  const [{ searched, confirmed, undefended }] = allocations;
  expect(searched.leak.mean).toBeLessThan(undefended.leak.mean!);
  expect(confirmed.attack).not.toBe('');
  expect(Object.values(allocations[0].layers)).toContain('four bits that all fail');
});

it('memories that cannot be mixed, and none at all, are refused', async () => {
  const other = named('of a chip', { '*': stored('fixed', 0) }, { granularity: 'chip' });
  await expect(found({ memories: [...MEMORIES, other] }, 'leak', [0.01])).rejects.toThrow('they differ in granularity');
  await expect(found({ memories: [] }, 'leak', [0.01])).rejects.toThrow('there is nothing to choose from');
});
