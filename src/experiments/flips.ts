/** Flips of stored bits that are chosen to do the most damage, compared with as many random ones. */
import { createDataset, type ImageDataset, meanImage } from '../data/dataset.ts';
import { ConfigError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { ApproximateMemory } from '../injection/approximate_memory.ts';
import { type ChosenFlip, type MemoryConfigInput, parseMemoryConfig } from '../memory/config.ts';
import { uploadDataset } from '../models/device_dataset.ts';
import { Evaluator } from '../models/evaluate.ts';
import { FlipSearch, type FlipStep, flippableCount, randomFlips } from '../models/flip_search.ts';
import { layerNames } from '../models/specs.ts';
import { stackVictim } from '../models/victims.ts';
import { Random } from '../random.ts';
import { layersOfSet } from './conditions.ts';
import type { ExperimentConfig } from './config.ts';
import { victimSpec, victimTraining } from './described_victim.ts';
import type { ExperimentData } from './faces.ts';
import { type FlipObjective, OBJECTIVES } from './flip_objectives.ts';
import { Networks, VICTIM_FILE } from './networks.ts';
import { type RunContext, refuseAborted } from './store.ts';

/** Most photographs of a search; with the mean photographs they are one batch. */
export const MOST_IMAGES = 1024;

export interface FlipOptions {
  readonly objective: FlipObjective;
  /** Largest number of flips of a search. */
  readonly flips: number;
  /** Sets of layers, each of which is searched alone. */
  readonly sets: readonly string[];
  /** Training photographs from which gradients and costs are computed. */
  readonly images: number;
  /** Random sets of as many flips. */
  readonly draws: number;
}

/** What a network does with some flips. */
export interface FlipMeasures {
  /** The cost that the search raises. */
  readonly cost: number;
  /** Mean cross-entropy of the photographs of the search, and of the mean photographs, nats. */
  readonly loss: number;
  readonly meanLoss: number;
  /** Share of the test photographs that are recognised. */
  readonly accuracy: number;
}

/** The search of one set of layers. */
export interface FlipReport {
  readonly layers: string;
  readonly objective: FlipObjective;
  /** Number of stored bits among which the search chooses. */
  readonly bits: number;
  readonly before: FlipMeasures;
  /** The chosen flips in order, each measured together with all before it. */
  readonly steps: readonly (Omit<FlipStep, 'losses'> & FlipMeasures)[];
  /** As many random flips, measured once per draw. */
  readonly random: readonly FlipMeasures[];
  /** Memories with the chosen flips and with the first draw of random ones, for experiments. */
  readonly memories: { readonly chosen: MemoryConfigInput; readonly random: MemoryConfigInput };
}

/** Random numbers of the choice of photographs, and of the random flips of draw d: 1 + d. */
const PHOTOGRAPHS = 0xf11b;

/**
 * Trains or loads the victim and searches its flips, one set of layers after the other.
 * @throws ConfigError, DataError, DeviceLostError, InterruptedError
 */
export async function searchFlips(
  gpu: Gpu,
  data: ExperimentData,
  config: ExperimentConfig,
  run: RunContext,
  options: FlipOptions,
): Promise<FlipReport[]> {
  const { dataset, split } = data;
  const spec = victimSpec(config.victim, dataset);
  const specs = spec.layers;
  const names = layerNames(spec);
  const sets = options.sets.map((set) => ({ set, members: layersOfSet(set, names) }));
  const arena = new Arena(gpu);
  try {
    const photographs = uploadDataset(arena, dataset);
    const networks = new Networks(arena, data.pretrained, run);
    const training = victimTraining(config);
    const file = [VICTIM_FILE, 'training the victim'] as const;
    const parameters = await networks.get(...file, spec, photographs, split.train, training, dataset.sha256);
    const memory = await ApproximateMemory.store(arena, parameters);
    const { searched, weights, photographs: count } = await searchedImages(data, options, config.seed);
    const images = uploadDataset(arena, searched);
    const reports: FlipReport[] = [];
    run.progress.start('searching flips', sets.length * (options.flips + options.draws));
    for (const { set, members } of sets) {
      const configured = (flips?: readonly ChosenFlip[]): MemoryConfigInput => ({
        granularity: 'load',
        layers: Object.fromEntries(members.map((layer) => [layer, { kind: 'stored', format: config.format }])),
        ...(flips && { flips: [...flips] }),
      });
      const load = async (flips?: readonly ChosenFlip[]) => {
        await memory.configure(parseMemoryConfig(configured(flips), names));
        await memory.load(0);
      };
      await load();
      const search = await FlipSearch.build(gpu, specs, memory, images, weights);
      const victim = stackVictim(specs, memory.weightsOf, memory);
      const evaluator = await Evaluator.build(gpu, victim, photographs, split.test, config.evaluationBatch);
      const measured = async (outcome: { cost: number; losses: Float32Array }): Promise<FlipMeasures> => {
        const { losses, cost } = outcome;
        const [{ accuracy }] = await evaluator.run();
        return { cost, loss: mean(losses.subarray(0, count)), meanLoss: mean(losses.subarray(count)), accuracy };
      };
      try {
        const before = await measured(await search.measure());
        const steps: (Omit<FlipStep, 'losses'> & FlipMeasures)[] = [];
        for await (const { losses, ...step } of search.search(members, options.flips)) {
          refuseAborted(run.signal);
          steps.push({ ...step, ...(await measured({ ...step, losses })) });
          const { parameter, index, bit } = step.flip;
          run.progress.advance(1, `${set}: bit ${bit} of ${parameter} ${index}, cost ${step.cost.toPrecision(3)}`);
        }
        run.progress.advance(options.flips - steps.length);
        const chosen = steps.map(({ flip }) => flip);
        const draws = Array.from({ length: options.draws }, (_, draw) =>
          randomFlips(memory, members, chosen.length, new Random(config.seed, PHOTOGRAPHS + 1 + draw)),
        );
        const random: FlipMeasures[] = [];
        for (const flips of draws) {
          refuseAborted(run.signal);
          await load(flips);
          random.push(await measured(await search.measure()));
          run.progress.advance(1);
        }
        const memories = { chosen: configured(chosen), random: configured(draws[0]) };
        const { objective } = options;
        const bits = flippableCount(memory, members);
        reports.push({ layers: set, objective, bits, before, steps, random, memories });
      } finally {
        search.destroy();
        evaluator.destroy();
      }
    }
    run.progress.done();
    return reports;
  } finally {
    arena.destroy();
  }
}

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, x) => sum + x, 0) / values.length;

/** The photographs of a search and the mean photograph of every person, with their weights in the cost. */
async function searchedImages(
  { dataset, split }: ExperimentData,
  { objective, images: wanted }: FlipOptions,
  seed: number,
): Promise<{ searched: ImageDataset; weights: Float32Array; photographs: number }> {
  if (wanted < 1 || wanted > MOST_IMAGES) {
    throw new ConfigError(`--images: ${wanted} photographs; give 1..${MOST_IMAGES}`);
  }
  const chosen = new Random(seed, PHOTOGRAPHS).shuffle(Uint32Array.from(split.train)).subarray(0, wanted);
  const people = [...new Set(Array.from(split.train, (i) => dataset.labels[i]))].sort((a, b) => a - b);
  const size = dataset.images.length / dataset.labels.length;
  const images = new Uint8Array((chosen.length + people.length) * size);
  const labels = new Uint32Array(chosen.length + people.length);
  for (const [i, image] of chosen.entries()) {
    images.set(dataset.images.subarray(image * size, (image + 1) * size), i * size);
    labels[i] = dataset.labels[image];
  }
  for (const [i, person] of people.entries()) {
    const own = split.train.filter((image) => dataset.labels[image] === person);
    const bytes = meanImage(dataset, own).map((value) => Math.round(255 * value));
    images.set(bytes, (chosen.length + i) * size);
    labels[chosen.length + i] = person;
  }
  const { loss, meanLoss } = OBJECTIVES[objective];
  const weights = Float32Array.from(labels, (_, i) =>
    i < chosen.length ? loss / chosen.length : meanLoss / people.length,
  );
  const ids = Array.from(labels, (_, i) => String(i));
  const { name, width, height, channels, classNames } = dataset;
  const searched = await createDataset({ name, width, height, channels, classNames, images, labels, ids });
  return { searched, weights, photographs: chosen.length };
}
