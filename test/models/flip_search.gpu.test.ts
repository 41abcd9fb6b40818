import { afterEach, expect, it } from 'vitest';
import { createDataset, type ImageDataset } from '../../src/data/dataset.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { productLayers } from '../../src/layers/kinds.ts';
import { type ParameterSlice, positionOf, valueCount } from '../../src/layers/parameters.ts';
import { codeAt } from '../../src/memory/codec.ts';
import {
  type ChosenFlip,
  type MemoryConfigInput,
  type NumberFormat,
  parseMemoryConfig,
} from '../../src/memory/config.ts';
import { floatOfBits } from '../../src/memory/floating_point.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { FlipSearch, type FlipStep, randomFlips } from '../../src/models/flip_search.ts';
import type { ModelSpec } from '../../src/models/model_spec.ts';
import { describedNetwork } from '../../src/models/network.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { Random } from '../../src/random.ts';
import { softmaxCrossEntropy } from '../../src/reference/loss.ts';
import { type Parameters, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { useGpu } from '../support/gpu.ts';
import { randomParameters } from '../support/toy.ts';

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

const COUNT = 6;
const CLASSES = 4;
const WEIGHTS = Float32Array.of(0.25, 0.25, 0.25, 0.25, -0.5, -0.5);

function dataset(channels: 1 | 3): Promise<ImageDataset> {
  const random = new Random(5);
  return createDataset({
    ...{ name: 'random', width: 4, height: 3, channels },
    classNames: ['a', 'b', 'c', 'd'],
    images: Uint8Array.from({ length: COUNT * 12 * channels }, () => random.uniformInt(256)),
    labels: Uint32Array.from({ length: COUNT }, (_, i) => i % CLASSES),
    ids: Array.from({ length: COUNT }, (_, i) => String(i)),
  });
}

const NETWORKS: Record<string, { channels: 1 | 3; spec: ModelSpec }> = {
  dense: { channels: 1, spec: modelSpec('mlp-sigmoid', 12, CLASSES, [5]) },
  convolutional: {
    channels: 3,
    spec: describedNetwork({
      kind: 'network',
      input: { height: 3, width: 4, channels: 3 },
      layers: [
        { kind: 'conv2d', name: 'conv', channels: 2, kernelSize: 3, padding: 1 },
        { kind: 'sigmoid', name: 'squash' },
        { kind: 'flatten', name: 'flat' },
        { kind: 'dense', name: 'head', outputs: CLASSES },
      ],
    }),
  },
};

type StoredInput = Extract<MemoryConfigInput['layers'][string], { kind: 'stored' }>;

async function storedNetwork(name: keyof typeof NETWORKS, stored: Omit<StoredInput, 'kind'>) {
  const { gpu } = device;
  arena = new Arena(gpu);
  const { channels, spec } = NETWORKS[name];
  const parameters = randomParameters(arena, spec, 7);
  const memory = await ApproximateMemory.store(arena, parameters);
  const layers = productLayers(spec.layers);
  const configured = (more: Partial<MemoryConfigInput> = {}) =>
    memory.configure(parseMemoryConfig({ layers: { '*': { kind: 'stored', ...stored } }, ...more }, layers));
  await configured();
  await memory.load(0);
  const images = await dataset(channels);
  return { gpu, spec, layers, memory, configured, images, data: uploadDataset(arena, images) };
}

/** Everything that the device knows about the network, in float64: the codes, what they mean, the cost and its gradient. */
class Brute {
  readonly codes = new Map<string, Uint32Array>();
  constructor(
    readonly spec: ModelSpec,
    readonly memory: ApproximateMemory,
    readonly images: ImageDataset,
  ) {}

  static async of(spec: ModelSpec, memory: ApproximateMemory, images: ImageDataset): Promise<Brute> {
    const brute = new Brute(spec, memory, images);
    for (const { name } of memory.exact.layout.slices) brute.codes.set(name, await memory.readCodes(name));
    return brute;
  }

  slices(layer: string): ParameterSlice[] {
    return this.memory.exact.layout.slices.filter((slice) => slice.layer === layer);
  }

  value(slice: ParameterSlice, index: number, bit?: number): number {
    const codec = this.memory.codecOf(slice.name);
    const position = positionOf(slice, index);
    const code = codeAt(this.codes.get(slice.name)!, position, codec.storageBits);
    const flipped = bit === undefined ? code : (code ^ (1 << bit)) >>> 0;
    return floatOfBits(codec.decode(flipped, Math.floor(position / slice.stride)));
  }

  flip({ parameter, index, bit }: ChosenFlip): void {
    const { storageBits } = this.memory.codecOf(parameter);
    const at = positionOf(this.memory.exact.layout.find(parameter), index) * storageBits + bit;
    this.codes.get(parameter)![Math.floor(at / 32)] ^= 1 << (at % 32);
  }

  parameters(): Parameters {
    return new Map(
      this.memory.exact.layout.slices.map((slice) => [
        slice.name,
        Float64Array.from({ length: valueCount(slice) }, (_, index) => this.value(slice, index)),
      ]),
    );
  }

  run() {
    const parameters = this.parameters();
    const pixels = Float64Array.from(this.images.images, (byte) => byte / 255);
    const values = stackForward(this.spec.layers, parameters, pixels, COUNT);
    const judged = softmaxCrossEntropy(values[values.length - 1], this.images.labels, CLASSES);
    const cost = Array.from(WEIGHTS).reduce((sum, weight, i) => sum + weight * judged.results[2 * i], 0);
    const gradient = judged.gradient.map((slope, i) => slope * WEIGHTS[Math.floor(i / CLASSES)] * COUNT);
    return { cost, gradients: stackBackward(this.spec.layers, parameters, values, gradient).parameters };
  }

  /** The flip of every layer with the highest first-order change of the cost, of all that are possible. */
  bestOf(
    layer: string,
    width: number,
    taken: readonly ChosenFlip[],
  ): { flip: ChosenFlip; score: number; margin: number } {
    const { gradients } = this.run();
    const scores: { flip: ChosenFlip; score: number }[] = [];
    for (const slice of this.slices(layer)) {
      for (let index = 0; index < valueCount(slice); index++) {
        for (let bit = 0; bit < width; bit++) {
          const flip = { parameter: slice.name, index, bit };
          if (taken.some((other) => JSON.stringify(other) === JSON.stringify(flip))) continue;
          const change = this.value(slice, index, bit) - this.value(slice, index);
          const score = gradients.get(slice.name)![index] * change;
          if (Number.isFinite(change)) scores.push({ flip, score });
        }
      }
    }
    scores.sort((a, b) => b.score - a.score);
    return { ...scores[0], margin: scores[0].score / scores[1].score };
  }
}

const FORMATS: readonly [NumberFormat, number][] = [
  [{ kind: 'fixed', bits: 12, exponent: 'per-tensor', headroom: 1, encoding: 'corrected' }, 12],
  [{ kind: 'int8', scale: 'per-channel' }, 8],
  [{ kind: 'int4', scale: 'per-tensor' }, 4],
  [{ kind: 'bf16', nonFinite: 'saturate' }, 16],
];
const CASES = FORMATS.flatMap(([format, bits]) =>
  (['dense', 'convolutional'] as const).map((network) => [format.kind, network, format, bits] as const),
);

it.each(CASES)('in %s a search of a %s network keeps the flip that exhaustive search finds', async (...test) => {
  const [, network, format, bits] = test;
  const { gpu, spec, layers, memory, images, data } = await storedNetwork(network, { format });
  const brute = await Brute.of(spec, memory, images);
  const search = await FlipSearch.build(gpu, spec.layers, memory, data, WEIGHTS);
  const relative = { relative: 2e-4, absolute: 1e-6 };
  expectAllclose([(await search.measure()).cost], [brute.run().cost], relative, 'cost before');
  const steps: FlipStep[] = [];
  let last = Number.NEGATIVE_INFINITY;
  // A weight of 10^38 saturates what follows it, so that few flips raise the cost further.
  const count = format.kind === 'bf16' ? 2 : 3;
  for await (const step of search.search(layers, count)) {
    const taken = steps.map(({ flip }) => flip);
    const tried = layers.map((layer) => {
      const best = brute.bestOf(layer, bits, taken);
      brute.flip(best.flip);
      const { cost } = brute.run();
      brute.flip(best.flip);
      return { ...best, cost };
    });
    const [kept] = [...tried].sort((a, b) => b.cost - a.cost);
    // No tie hides a wrong choice.
    expect(kept.margin).toBeGreaterThan(1.0001);
    expect(step.flip).toEqual(kept.flip);
    const slice = memory.exact.layout.find(kept.flip.parameter);
    expect(step.before).toBe(brute.value(slice, kept.flip.index));
    expect(step.after).toBe(brute.value(slice, kept.flip.index, kept.flip.bit));
    expectAllclose([step.predicted, step.cost], [kept.score, kept.cost], relative, 'score and cost');
    expect(step.cost).toBeGreaterThan(last);
    last = step.cost;
    brute.flip(kept.flip);
    steps.push(step);
  }
  expect(steps).toHaveLength(count);
  expect((await search.measure()).cost).toBe(last);
  for (const [name, codes] of brute.codes) expect(await memory.readCodes(name), name).toEqual(codes);
});

const FIXED: NumberFormat = FORMATS[0][0];

it('the flips of a configuration are those that a search leaves, on both paths', async () => {
  const { gpu, spec, layers, memory, configured, data } = await storedNetwork('dense', { format: FIXED });
  const search = await FlipSearch.build(gpu, spec.layers, memory, data, WEIGHTS);
  const flips: ChosenFlip[] = [];
  for await (const { flip } of search.search(layers, 4)) flips.push(flip);
  const names = memory.exact.layout.slices.map(({ name }) => name);
  const found = new Map<string, Uint32Array>();
  for (const name of names) found.set(name, await memory.fetchedWeights(name));
  for (const path of ['materialised', 'fused'] as const) {
    await configured({ flips, path });
    await memory.load(0);
    const codes = new Map<string, Uint32Array>();
    for (const name of names) codes.set(name, await memory.fetchCodes(name));
    await configured({ flips });
    await memory.load(0);
    for (const name of names) {
      expect(await memory.fetchedWeights(name), name).toEqual(found.get(name));
      expect(codes.get(name), name).toEqual(await memory.readCodes(name));
    }
  }
  await configured();
  await memory.load(0);
  const changed = new Set(flips.map(({ parameter }) => parameter));
  for (const name of names) {
    const restored = await memory.fetchedWeights(name);
    const words = (values: { readonly buffer: ArrayBufferLike }) => new Uint32Array(values.buffer);
    const before = words(found.get(name)!);
    expect(words(restored).every((word, i) => word === before[i])).toBe(!changed.has(name));
  }
});

it('protected bits are never chosen, and random flips are distinct bits of the layers that are asked for', async () => {
  const { gpu, spec, memory, data } = await storedNetwork('dense', { format: FIXED, protectedBits: 10 });
  const search = await FlipSearch.build(gpu, spec.layers, memory, data, WEIGHTS);
  const layer = memory.exact.layout.layers[0];
  const chosen: ChosenFlip[] = [];
  for await (const { flip } of search.search([layer], 5)) chosen.push(flip);
  expect(chosen.length).toBeGreaterThan(0);
  const bits =
    2 * memory.exact.layout.slices.filter((slice) => slice.layer === layer).reduce((n, s) => n + valueCount(s), 0);
  const all = randomFlips(memory, [layer], bits, new Random(1));
  expect(new Set(all.map((flip) => JSON.stringify(flip))).size).toBe(bits);
  for (const { parameter, bit } of [...chosen, ...all]) {
    expect(parameter.startsWith(`${layer}.`)).toBe(true);
    expect(bit).toBeLessThan(2);
  }
});

it.each([
  [
    { parameter: 'nowhere.weight', index: 0, bit: 0 },
    /flips\.0\.parameter: nowhere\.weight does not lie in this memory/,
  ],
  [{ index: 60, bit: 0 }, /flips\.0\.index: 60, but .* has 60 values; give 0\.\.59/],
  [{ index: 0, bit: 12 }, /flips\.0\.bit: 12, but the lowest 12 bits/],
])('a flip that the memory does not hold is refused: %o', async (flip, message) => {
  const { memory, configured } = await storedNetwork('dense', { format: FIXED });
  const parameter = memory.exact.layout.slices[0].name;
  await expect(configured({ flips: [{ parameter, ...flip }] })).rejects.toThrow(message);
  const twice = { parameter, index: 1, bit: 1 };
  await expect(configured({ flips: [twice, twice] })).rejects.toThrow(/flips\.1: this bit is flipped twice/);
});

it('flips under an error correcting code are refused', async () => {
  const { memory, configured } = await storedNetwork('dense', { format: FIXED, ecc: {} });
  const parameter = memory.exact.layout.slices[0].name;
  await expect(configured({ flips: [{ parameter, index: 0, bit: 0 }] })).rejects.toThrow(/code of .* would correct it/);
});
