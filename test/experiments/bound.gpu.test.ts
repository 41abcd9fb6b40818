import { beforeAll, expect, it } from 'vitest';
import { type BoundReport, boundErrors } from '../../src/experiments/bound.ts';
import type { BoundOptions } from '../../src/experiments/bound_options.ts';
import type { ExperimentData } from '../../src/experiments/faces.ts';
import { proceduralData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();

const uniform = (bitErrorRate: number, more = {}) => ({
  granularity: 'chip',
  layers: { '*': { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate }], ...more } },
});
const named = (name: string, memory: object) => ({ name, setting: name, memory });
const RATES = [0, 2 ** -10, 2 ** -6, 2 ** -2];
const config = configuration('softmax', {
  sweeps: [{ layers: 'all', rates: RATES }],
  memories: [
    named('chip', uniform(2 ** -6)),
    named('bit planes', {
      layers: { '*': { kind: 'stored', faults: [{ kind: 'bit-plane', rates: Array(12).fill(2 ** -6) }] } },
    }),
    named('highest bits', {
      layers: {
        '*': { kind: 'stored', faults: [{ kind: 'bit-plane', rates: [...Array(10).fill(0), 2 ** -6, 2 ** -6] }] },
      },
    }),
    named('corrected', uniform(0.01, { ecc: {} })),
  ],
});
const options: BoundOptions = { secret: 'photograph', replaced: 1, reads: [1, 10] };

let data: ExperimentData;
let rows: BoundReport[];
const warnings: string[] = [];
const bound = (given: ExperimentData, wanted = options) => {
  const progress = { ...SILENT, warn: (line: string) => void warnings.push(line) };
  const run = { store: new InMemoryRunStore(), progress, signal: new AbortController().signal };
  return boundErrors(device.gpu, given, config, run, wanted);
};
beforeAll(async () => {
  if (config.data.kind !== 'procedural') throw new Error('the faces must be procedural');
  data = await proceduralData(device.gpu, config.data, config.seed);
  rows = await bound(data);
});

const errors = (rate: number, reads = 1) =>
  rows.find(
    ({ condition: { kind, rates }, reads: n }) =>
      kind === 'bit-error' && Object.values(rates)[0] === rate && n === reads,
  )!;
const memory = (label: string) => rows.filter((row) => row.label === label);
const LOWEST = -1e9;
const number = (error: BoundReport['any']) => (error === 'zero' ? LOWEST : (error as number));

it('the bound of a trained network is 0 without errors, and rises with nested rates', () => {
  expect(errors(0)).toMatchObject({ any: 'zero', unbiased: 'zero', vacuous: true });
  for (let i = 1; i < RATES.length; i++) {
    const [weaker, stronger] = [errors(RATES[i - 1]), errors(RATES[i])];
    expect(number(stronger.any)).toBeGreaterThan(number(weaker.any));
    expect(number(stronger.unbiased)).toBeGreaterThan(number(weaker.unbiased));
    expect(number(stronger.any)).toBeLessThanOrEqual(number(stronger.guess));
    expect(number(errors(RATES[i], 10).any)).toBeLessThan(number(stronger.any));
  }
});

it('the bound is that of as many independent bits as differ between the two trained networks', () => {
  const { bits, any, mixed, tolerable, exact } = errors(2 ** -6);
  const whole = errors(2 ** -6).guess as number;
  expect(bits).toBeGreaterThan(0);
  expect(exact).toBe(0);
  const perBit = Math.log10(2 * Math.sqrt(2 ** -6 * (1 - 2 ** -6)));
  // A mixture is closer by its square, up to the rounding of pixels.
  expect((any as number) - 2 * bits * perBit).toBeCloseTo(whole + 2 * Math.log10(mixed), 0);
  expect(tolerable).toBe(Math.floor(-2 / (2 * perBit)));
});

it('equal memories have equal bounds, reads of one chip tell no more than one, and bits that never fail give it away', () => {
  expect(memory('bit planes')[0]).toMatchObject({ any: errors(2 ** -6).any, bits: errors(2 ** -6).bits });
  expect(memory('chip').map(({ reads }) => reads)).toEqual([1]);
  expect(memory('chip')[0].any).toBe(errors(2 ** -6).any);
  expect(memory('highest bits')[0].any).toBe('zero');
});

it('noise of the same mean square hides the photograph where bit errors do not', () => {
  const noise = rows.filter(({ condition, reads }) => condition.kind === 'gaussian' && reads === 1);
  expect(noise).toHaveLength(RATES.length - 1);
  for (const { any, weights, bits } of noise) {
    expect(weights).toBeGreaterThan(0);
    expect(bits).toBe(0);
    expect(number(any)).toBeGreaterThan(number(errors(2 ** -6).any));
  }
});

it('memories whose cells do not fail independently are left out with a warning, and given networks are refused', async () => {
  expect(memory('corrected')).toEqual([]);
  expect(warnings.join()).toContain('corrected: its cells do not fail independently');
  await expect(bound({ ...data, pretrained: new Map() })).rejects.toThrow('leave the given networks out');
});

it('the same seed gives the same bounds, also of a whole person', async () => {
  const wanted = { ...options, secret: 'person', reads: [1] } as const;
  const [first, second] = [await bound(data, wanted), await bound(data, wanted)];
  expect(second).toEqual(first);
  expect(first.length).toBe(rows.filter(({ reads }) => reads === 1).length);
});
