import { afterEach, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { fetchCodes } from '../../src/memory/fault_sampler.ts';
import { randomValues, useGpu } from '../support/gpu.ts';

// The same bits fail in Node, in a browser and on every adapter. The digests were computed in Node.

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

const layout = new ParameterLayout(
  layerParameters([{ kind: 'dense', name: 'fc', inputs: 100, outputs: 64, activation: 'none' }]),
);

type Layer = Omit<Extract<MemoryConfigInput['layers'][string], { kind: 'stored' }>, 'kind'>;

const UNIFORM = { kind: 'uniform', bitErrorRate: 0.03 } as const;

/** Name, granularity, the first 16 hexadecimal digits of the SHA-256 of all flips of two reads, and the memory. */
const MEMORIES: readonly (readonly [string, MemoryConfigInput['granularity'], string, Layer])[] = [
  ['fixed point of 12 bits', 'chip', 'e1e1748fe4092936', { faults: [UNIFORM] }],
  ['fixed point of 7 bits', 'load', '30e7c29e3d006d01', { format: { kind: 'fixed', bits: 7 }, faults: [UNIFORM] }],
  [
    'fixed point of 16 bits',
    'pass',
    '0d72d94ed9b4df83',
    { format: { kind: 'fixed', bits: 16 }, faults: [{ kind: 'uniform', bitErrorRate: 0.3 }] },
  ],
  [
    'int4 that loses ones',
    'inference',
    '0f268f2456a497b1',
    { format: { kind: 'int4' }, faults: [{ kind: 'asymmetric', zeroToOne: 0.01, oneToZero: 0.05 }] },
  ],
  [
    'fp16 with protected bits',
    'pass',
    'bfefc298d794257b',
    { format: { kind: 'fp16' }, faults: [UNIFORM], protectedBits: 3 },
  ],
  [
    'bit planes of bf16',
    'load',
    'e1310744c18739bb',
    { format: { kind: 'bf16' }, faults: [{ kind: 'bit-plane', rates: [0.2, 0.1, 0, 0.05, 0.01] }] },
  ],
  [
    'stuck cells of fp32',
    'chip',
    '7f58ccf5e8a4372c',
    { format: { kind: 'fp32' }, faults: [{ kind: 'stuck-at', zero: 0.04, one: 0.02 }] },
  ],
  [
    'an SRAM chip of int8',
    'load',
    'ef9853971a67180b',
    { format: { kind: 'int8' }, faults: [{ kind: 'sram-chip', profile: 'chip2-high' }] },
  ],
  ['EDEN EM0', 'load', '1ff447f5918e4a12', { faults: [{ kind: 'eden', model: 'EM0', weakCells: 0.08, failure: 0.4 }] }],
  [
    'bitlines of EDEN EM1',
    'load',
    '93da2daae37084a1',
    {
      faults: [
        {
          kind: 'eden',
          model: 'EM1',
          lines: [
            { share: 0.1, weakCells: 0.3, failure: 0.5 },
            { share: 0.5, weakCells: 0.02 },
          ],
        },
      ],
    },
  ],
  [
    'wordlines of EDEN EM2',
    'pass',
    '6ddb75eace0bf515',
    { faults: [{ kind: 'eden', model: 'EM2', lines: [{ share: 0.5, weakCells: 0.1, failure: 0.5 }] }] },
  ],
  [
    'EDEN EM3',
    'load',
    '1b65ecc8241cdcd7',
    { faults: [{ kind: 'eden', model: 'EM3', weakCells: 0.1, failureOfOnes: 0.8, failureOfZeros: 0.1 }] },
  ],
  ['clustered errors', 'load', '4b79c6d99a6c6d1d', { faults: [{ kind: 'clustered', lines: 0.3, bitErrorRate: 0.05 }] }],
  ['measured DIMMs at 1.15 V', 'chip', '4f39e8dde7f2de26', { faults: [{ kind: 'voltage', vendor: 'C', volts: 1.15 }] }],
  ['SECDED', 'load', 'fe8a512b2a929c8f', { faults: [{ kind: 'uniform', bitErrorRate: 0.01 }], ecc: {} }],
  [
    'SECDED of int8 that passes on what it detects',
    'pass',
    '955ab3a423a3621c',
    { format: { kind: 'int8' }, faults: [{ kind: 'uniform', bitErrorRate: 0.02 }], ecc: { detected: 'pass' } },
  ],
  [
    'SECDED scrubbed on load, with stuck cells',
    'pass',
    '403cbadfc9ee3823',
    {
      faults: [
        { kind: 'uniform', bitErrorRate: 0.01, drawn: 'load' },
        { kind: 'uniform', bitErrorRate: 0.01 },
        { kind: 'stuck-at', zero: 0.005, one: 0.005 },
      ],
      ecc: { scrub: true },
    },
  ],
];

it.each(MEMORIES)('the same bits fail everywhere: %s at granularity %s', async (_, granularity, digest, layer) => {
  arena = new Arena(device.gpu);
  const parameters = new FlatParameters(arena, 'parameters', layout);
  const weight = layout.find('fc.weight');
  const flat = new Uint32Array(layout.length);
  layout.pack(weight, new Uint32Array(randomValues(weight.rows * weight.columns, 3, 0.3).buffer), flat);
  device.gpu.write(parameters.view, flat);
  const memory = await ApproximateMemory.store(arena, parameters);
  const geometry = { banks: 4, rows: 4096, rowBytes: 64 };
  const layers = { fc: { kind: 'stored', ...layer } } as const;
  await memory.configure(parseMemoryConfig({ seed: 7, chip: 1, granularity, geometry, layers }, ['fc']));

  const words = await memory.readCodes(weight.name);
  const flips = [];
  for (const [draw, pass] of [
    [0, 0],
    [2, 5],
  ]) {
    await memory.load(draw);
    const returned = await memory.fetchCodes(weight.name, pass);
    const image = { ...weight, words, codec: memory.codecOf(weight.name) };
    expect(returned).toEqual(fetchCodes(image, memory.faultSamplerOf(weight.name, pass)));
    flips.push(...returned.map((word, i) => word ^ words[i]));
  }
  const sha256 = new Uint8Array(await crypto.subtle.digest('SHA-256', Uint32Array.from(flips)));
  expect(Array.from(sha256.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('')).toBe(digest);
});
