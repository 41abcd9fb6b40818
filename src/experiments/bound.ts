/** The bound of src/metrics/bound.ts under the errors of an experiment: networks that differ in one training photograph, compared. */
import { createDataset, type ImageDataset } from '../data/dataset.ts';
import { ConfigError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { imageValues } from '../image_size.ts';
import { ApproximateMemory } from '../injection/approximate_memory.ts';
import { formatBits } from '../memory/codec.ts';
import { type MemoryConfig, parseMemoryConfig, type StoredMemory } from '../memory/config.ts';
import { faultSources } from '../memory/faults.ts';
import { forEachFlip } from '../memory/flips.ts';
import {
  added,
  anyBound,
  bitDivergence,
  type Divergence,
  EXACT,
  gaussianDivergence,
  laplacianDivergence,
  SAME,
  unbiasedBound,
} from '../metrics/bound.ts';
import { uploadDataset } from '../models/device_dataset.ts';
import { layerNames } from '../models/specs.ts';
import { Random } from '../random.ts';
import { type Condition, conditionLabel } from '../results/results.ts';
import type { BoundOptions } from './bound_options.ts';
import { checkExperiment } from './check.ts';
import { memoryOf } from './conditions.ts';
import type { ExperimentConfig } from './config.ts';
import { victimSpec, victimTraining } from './described_victim.ts';
import type { ExperimentData } from './faces.ts';
import { noiseOfEqualMoments } from './moments.ts';
import { Networks, VICTIM_FILE } from './networks.ts';
import { type RunContext, refuseAborted } from './store.ts';

/** A mean squared error per pixel value, pixels in 0..1: its logarithm to base 10, or no error at all, or none that is finite. */
export type LogError = number | 'zero' | 'infinite';

/** The best bound that was found for one condition, over all replaced secrets. */
export interface BoundReport {
  readonly condition: Condition;
  readonly label: string;
  readonly reads: number;
  /** No attacker has a smaller error on the average over the secret and its alternative. */
  readonly any: LogError;
  /** No attacker whose estimate has no bias has a smaller error. */
  readonly unbiased: LogError;
  /** Error of guessing the middle between both, which needs no network: the most that `any` can be. */
  readonly guess: LogError;
  /** The alternative that gave `any`: how far the secret was moved towards that of the other person, 0..1. */
  readonly mixed: number;
  /** Stored bits in which the two networks differ. */
  readonly bits: number;
  /** Weights with noise in which they differ. */
  readonly weights: number;
  /** Weights and scales that are read exactly and in which they differ: any of them makes the bound zero. */
  readonly exact: number;
  /** The most differing bits with which this alternative would give 1 % of its guess; absent where any number does, or none. */
  readonly tolerable?: number;
  /** True if `any` is less than 1 % of `guess`: it then says nothing that matters. */
  readonly vacuous: boolean;
}

/** Shares by which a secret is moved towards another: alternatives that are less different change fewer bits. */
const MIXTURES = [1, 1 / 8, 1 / 64];

/** Least share of the error of a guess that a bound must reach to say something. */
const TELLING = 0.01;

/** Random numbers of the choice of photographs. */
const PHOTOGRAPHS = 0xb07d;

/**
 * Trains the victim, and again with a secret replaced, and bounds the error with which any attacker who reads the weights can tell what
 * the secret was, under every planned condition with errors, and under normal noise of the same mean square. Memories whose cells do
 * not fail independently have no bound and are left out, with a warning.
 * @throws ConfigError, DataError, DeviceLostError, InterruptedError
 */
export async function boundErrors(
  gpu: Gpu,
  data: ExperimentData,
  config: ExperimentConfig,
  run: RunContext,
  options: BoundOptions,
): Promise<BoundReport[]> {
  const { dataset, split } = data;
  if (data.pretrained) {
    throw new ConfigError('the bound compares networks that are trained alike: leave the given networks out');
  }
  const spec = victimSpec(config.victim, dataset);
  const names = layerNames(spec);
  const training = victimTraining(config);
  const parse = (condition: Condition) => parseMemoryConfig(memoryOf(condition, config), names);
  const planned = checkExperiment(config, data).filter(
    ({ kind, release }) => release === undefined && kind !== 'none' && kind !== 'quantised',
  );
  const arena = new Arena(gpu);
  try {
    const train = async (file: string, label: string, owner: Arena, faces: ImageDataset) => {
      const photographs = uploadDataset(owner, faces);
      const networks = new Networks(owner, undefined, run);
      return networks.get(file, label, spec, photographs, split.train, training, faces.sha256);
    };
    const parameters = await train(VICTIM_FILE, 'training the victim', arena, dataset);
    const memory = await ApproximateMemory.store(arena, parameters);
    const conditions: Condition[] = [];
    for (const condition of planned) {
      const config = parse(condition);
      if (!isIndependent(config)) {
        run.progress.warn(`${conditionLabel(condition)}: its cells do not fail independently, no bound is computed`);
        continue;
      }
      conditions.push(condition);
      if (condition.kind !== 'bit-error' || Object.values(config.layers).some(isFloat)) continue;
      if (Object.values(condition.rates).every((rate) => rate === 0)) continue;
      await memory.configure(config);
      conditions.push(...(await noiseOfEqualMoments(memory, condition, ['gaussian'])));
    }
    const best = new Map(conditions.map((condition) => [condition, new Map<number, BoundReport>()]));
    const alternatives = alternativesOf(data, options, config.seed);
    for (const [i, { pairs, mixed }] of alternatives.entries()) {
      refuseAborted(run.signal);
      const faces = await mixture(dataset, pairs, mixed);
      const distance = squaredDistance(dataset, faces, pairs);
      if (distance === 0) continue;
      const whole = mixed === 1 ? distance : squaredDistance(dataset, await mixture(dataset, pairs, 1), pairs);
      const owner = new Arena(gpu);
      try {
        const file = `replaced-${i + 1}.safetensors`;
        const changed = await train(file, `training with another ${options.secret}`, owner, faces);
        const pair = { memory, changed: await ApproximateMemory.store(owner, changed) };
        for (const [condition, own] of best) {
          const memoryConfig = parse(condition);
          const found = await compare(gpu, pair, memoryConfig);
          // A change that the number format hides is hidden without any error, too.
          if (found.bits + found.weights + found.exact === 0) continue;
          for (const asked of options.reads) {
            // The errors of a chip are the same in every read.
            const reads = memoryConfig.granularity === 'chip' ? 1 : asked;
            const report = reportOf(condition, reads, found, { distance, whole, mixed });
            const before = own.get(reads);
            if (!before || rank(report.any) > rank(before.any)) own.set(reads, report);
          }
        }
      } finally {
        owner.destroy();
      }
    }
    return [...best.values()].flatMap((own) => [...own.values()]);
  } finally {
    arena.destroy();
  }
}

const rank = (error: LogError) => (error === 'zero' ? -Infinity : error === 'infinite' ? Infinity : error);

const logError = (log10: number): LogError => (log10 === Infinity ? 'infinite' : log10 === -Infinity ? 'zero' : log10);

interface Pair {
  /** Index of a photograph, and of the one towards which it is moved. */
  readonly image: number;
  readonly other: number;
}

/** The secrets to replace, by those of other people, with all mixtures. */
function alternativesOf(
  { dataset, split }: ExperimentData,
  { secret, replaced }: BoundOptions,
  seed: number,
): { pairs: Pair[]; mixed: number }[] {
  const order = [...new Random(seed, PHOTOGRAPHS).shuffle(Uint32Array.from(split.train))];
  const { labels } = dataset;
  const of = (person: number) => order.filter((image) => labels[image] === person);
  const persons = [...new Set(order.map((image) => labels[image]))];
  const secrets = secret === 'person' ? persons.map(of) : order.map((image) => [image]);
  return secrets.slice(0, replaced).flatMap((images) => {
    const others = of(labels[order.find((each) => labels[each] !== labels[images[0]])!]);
    const pairs = images.map((image, i) => ({ image, other: others[i % others.length] }));
    return MIXTURES.map((mixed) => ({ pairs, mixed }));
  });
}

/** The data set with some images moved towards others; pixels are rounded. */
async function mixture(dataset: ImageDataset, pairs: readonly Pair[], mixed: number): Promise<ImageDataset> {
  const size = imageValues(dataset);
  const images = Uint8Array.from(dataset.images);
  for (const { image, other } of pairs) {
    for (let i = 0; i < size; i++) {
      const [from, to] = [dataset.images[image * size + i], dataset.images[other * size + i]];
      images[image * size + i] = Math.round(from + mixed * (to - from));
    }
  }
  return createDataset({ ...dataset, images });
}

/** Mean squared difference of some images in two data sets, pixels in 0..1. */
function squaredDistance(a: ImageDataset, b: ImageDataset, pairs: readonly Pair[]): number {
  const size = imageValues(a);
  let sum = 0;
  for (const { image } of pairs) {
    for (let i = image * size; i < (image + 1) * size; i++) sum += ((a.images[i] - b.images[i]) / 255) ** 2;
  }
  return sum / (size * pairs.length);
}

const isFloat = (layer: MemoryConfig['layers'][string]) => layer.kind === 'stored' && 'nonFinite' in layer.format;

/** True if every cell fails at random on its own, anew in every read, and nothing corrects or rearranges it. */
function isIndependent({ layers, granularity, chip }: MemoryConfig): boolean {
  return Object.entries(layers).every(([layer, memory]) => {
    if (memory.kind !== 'stored') return true;
    if (memory.ecc || memory.inverted) return false;
    return faultSources(memory, chip, layer).every(
      ({ effect, failure, lines, zone, drawn }) =>
        effect === 'flip' && failure === 1 && !lines && !zone && (drawn === 'read' || granularity === 'chip'),
    );
  });
}

/** Probability that each bit plane, the lowest first, is read wrong where it stores 0 and where it stores 1. */
function wrongReads(memory: StoredMemory, chip: number, layer: string): [ofZero: number, ofOne: number][] {
  const right = Array.from({ length: formatBits(memory.format) }, (): [number, number] => [1, 1]);
  for (const { rate, firstBit, bits, stored } of faultSources(memory, chip, layer)) {
    for (const plane of right.slice(firstBit, firstBit + bits)) {
      if (stored !== 'one') plane[0] *= 1 - rate;
      if (stored !== 'zero') plane[1] *= 1 - rate;
    }
  }
  return right.map(([zero, one]) => [1 - zero, 1 - one]);
}

interface Comparison {
  readonly divergence: Divergence;
  readonly bits: number;
  readonly weights: number;
  readonly exact: number;
}

/** How far what is read from two networks is apart: the one trained on the photograph, and the changed one. */
async function compare(
  gpu: Gpu,
  pair: { readonly memory: ApproximateMemory; readonly changed: ApproximateMemory },
  config: MemoryConfig,
): Promise<Comparison> {
  const both = [pair.memory, pair.changed];
  for (const memory of both) await memory.configure(config);
  const [weights, others] = await Promise.all(
    both.map(async ({ exact }) => new Float32Array((await gpu.readWords(exact.view)).buffer)),
  );
  let divergence = SAME;
  let [bits, noisy, exact] = [0, 0, 0];
  for (const { name, layer, rows, columns, stride, offset, length } of pair.memory.exact.layout.slices) {
    const memory = config.layers[layer];
    if (memory?.kind === 'stored' && pair.memory.storedParameters.includes(name)) {
      const [codec, other] = both.map((each) => each.codecOf(name));
      // Scales lie outside the memory.
      for (let row = 0; row < rows; row++) {
        if (codec.decode(1, row) !== other.decode(1, row)) exact++;
      }
      const wrong = wrongReads(memory, config.chip, layer);
      const counts = wrong.map(() => [0, 0]);
      const [stored, returned] = await Promise.all(both.map((each) => each.readCodes(name)));
      const { storageBits } = codec;
      const words = 32 / storageBits;
      forEachFlip({ stored, returned, rows, columns, stride, storageBits, bits: codec.bits }, (code, plane) => {
        const word = stored[Math.floor(code / words)];
        counts[plane][(word >>> (storageBits * (code % words) + plane)) & 1]++;
      });
      for (const [plane, [ofZero, ofOne]] of counts.entries()) {
        divergence = added(divergence, bitDivergence(0, wrong[plane]), ofZero);
        divergence = added(divergence, bitDivergence(1, wrong[plane]), ofOne);
        bits += ofZero + ofOne;
      }
      continue;
    }
    for (let i = offset; i < offset + length; i++) {
      const shift = others[i] - weights[i];
      if (shift === 0) continue;
      if (memory === undefined || memory.kind === 'stored') {
        exact++;
        continue;
      }
      const of = memory.kind === 'gaussian' ? gaussianDivergence : laplacianDivergence;
      divergence = added(divergence, of(shift, memory.scale));
      noisy++;
    }
  }
  return { divergence: exact > 0 ? EXACT : divergence, bits, weights: noisy, exact };
}

function reportOf(
  condition: Condition,
  reads: number,
  { divergence, bits, weights, exact }: Comparison,
  { distance, whole, mixed }: { distance: number; whole: number; mixed: number },
): BoundReport {
  const all = added(SAME, divergence, reads);
  const [any, guess] = [anyBound(all, distance), anyBound(SAME, whole)];
  const tolerable = Math.floor((Math.log(TELLING) * bits) / (2 * all.affinity));
  return {
    condition,
    label: conditionLabel(condition),
    reads,
    any: logError(any),
    unbiased: logError(unbiasedBound(all, distance)),
    guess: logError(guess),
    mixed,
    bits,
    weights,
    exact,
    ...(bits > 0 && Number.isFinite(tolerable) && { tolerable }),
    vacuous: any < guess + Math.log10(TELLING),
  };
}
