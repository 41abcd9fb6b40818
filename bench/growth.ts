/** Measures how the time of a training step grows with batch size and network width: slopes of log time over log size. */
import { inversionTraining } from '../src/attacks/inversion_networks.ts';
import { Arena } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { uploadDataset } from '../src/models/device_dataset.ts';
import type { ModelSpec } from '../src/models/model_spec.ts';
import { modelSpec } from '../src/models/specs.ts';
import { Trainer } from '../src/models/trainer.ts';
import { PUBLISHED_TRAINING, type TrainingConfig } from '../src/models/training_config.ts';
import { yangClassifier } from '../src/models/yang.ts';
import { oneBatch } from './inputs.ts';
import { atMost, makeRow, type Row } from './rows.ts';
import { type Case, interleave, type Timing } from './timing.ts';

const PEOPLE = 30;
const BATCHES = [8, 16, 32, 64, 128, 256, 512];

/** A network whose sizes vary, and the largest slope allowed for its time. */
interface Growing {
  readonly model: string;
  readonly over: 'batch' | 'width';
  readonly sizes: readonly number[];
  /**
   * Smallest size to which the slope is fitted. At smaller sizes, a step's fixed cost (some 60 dispatches), partly filled
   * tiles and layers that do not grow flatten the curve; with these sizes, any slope would meet its target.
   */
  readonly fitFrom: number;
  readonly slope: number;
  readonly width: number;
  readonly height: number;
  readonly spec: (size: number) => ModelSpec;
  readonly training: (size: number) => TrainingConfig;
}

const shallow = {
  width: 92,
  height: 112,
  spec: (hidden: number) => modelSpec('mlp', 92 * 112, PEOPLE, [hidden]),
  training: (batchSize: number): TrainingConfig => ({ ...PUBLISHED_TRAINING, epochs: 10_000, batchSize, seed: 1 }),
};
const victim = {
  width: 32,
  height: 32,
  spec: (ndf: number) => yangClassifier({ kind: 'yang-classifier', size: 32, ndf, classes: PEOPLE }),
  training: (batchSize: number) =>
    inversionTraining({ training: { epochs: 10_000, batchSize, learningRate: 1e-3 } }, 1),
};

/** Twice the batch means twice the work. Twice the width means four times the work for a layer whose inputs also double. */
const GROWING: readonly Growing[] = [
  {
    ...victim,
    model: 'tiny victim',
    over: 'batch',
    sizes: BATCHES,
    fitFrom: 64,
    slope: 1.05,
    spec: () => victim.spec(8),
  },
  {
    ...shallow,
    model: '10304-125-30',
    over: 'batch',
    sizes: BATCHES,
    fitFrom: 64,
    slope: 1.05,
    spec: () => shallow.spec(125),
  },
  {
    ...victim,
    model: 'victim, ndf, batch 8',
    over: 'width',
    sizes: [8, 16, 32, 64],
    fitFrom: 16,
    slope: 2.1,
    training: () => victim.training(8),
  },
  {
    // The expected slope is 1: the hidden layer lies between pixels and people, whose numbers do not grow.
    ...shallow,
    model: '10304-hidden-30, batch 32',
    over: 'width',
    sizes: [125, 250, 500, 1000],
    fitFrom: 125,
    slope: 1.05,
    training: () => shallow.training(32),
  },
];

/** Exponent and factor of the power law through points on log-log axes, by least squares: y = factor x^exponent. */
export function fitPower(x: readonly number[], y: readonly number[]): { exponent: number; factor: number } {
  const [logX, logY] = [x.map(Math.log), y.map(Math.log)];
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [mean(logX), mean(logY)];
  const covariance = logX.reduce((sum, value, i) => sum + (value - meanX) * (logY[i] - meanY), 0);
  const exponent = covariance / logX.reduce((sum, value) => sum + (value - meanX) ** 2, 0);
  return { exponent, factor: Math.exp(meanY - exponent * meanX) };
}

/** Measures all sizes of a network in the same rounds, and fits one slope per round. */
export async function benchGrowth(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const rows: Row[] = [];
  for (const growing of GROWING) {
    const { model, over, sizes, fitFrom, slope } = growing;
    const arena = new Arena(gpu);
    const trainers = new Map<number, Trainer>();
    const cases: Record<string, Case> = {};
    for (const size of sizes) {
      const trainer = await trainerOf(arena, growing, size);
      trainers.set(size, trainer);
      cases[size] = { run: () => trainer.trainEpoch() };
    }
    const times = await interleave(gpu, cases, timing);
    for (const trainer of trainers.values()) trainer.finish();
    arena.destroy();
    const fitted = sizes.filter((size) => size >= fitFrom);
    const exponents = times[sizes[0]].map(
      (_, round) =>
        fitPower(
          fitted,
          fitted.map((size) => times[size][round]),
        ).exponent,
    );
    const [first, last] = [fitted[0], fitted[fitted.length - 1]];
    rows.push(
      ...sizes.map((size) =>
        makeRow(`training step over ${over}, ${model}, ${size}`, times[size], 'ms', undefined, {
          growth: { model, over, sizes: [size] },
        }),
      ),
      makeRow(`slope of step time over ${over} ${first}..${last}, ${model}`, exponents, 'exponent', atMost(slope), {
        growth: { model, over, sizes: fitted },
      }),
    );
  }
  return rows;
}

/** A trainer whose data set is one batch, so that an epoch is one step and one read-back of the loss. */
async function trainerOf(arena: Arena, growing: Growing, size: number): Promise<Trainer> {
  const training = growing.training(size);
  const { batchSize } = training;
  const dataset = await oneBatch(growing, batchSize, PEOPLE);
  const data = uploadDataset(arena, dataset);
  return Trainer.create(arena, growing.spec(size), data, Uint32Array.from(dataset.labels.keys()), training);
}
