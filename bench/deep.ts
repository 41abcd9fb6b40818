/** Convolutions beside the multiply-add ceiling of the same rounds, and training steps of the small deep networks. */
import { buildProbes } from '../src/cli/doctor.ts';
import { createDataset } from '../src/data/dataset.ts';
import { deepInversion, deepTraining, deepVictim } from '../src/experiments/deep.ts';
import { deepPreset, parseDeepConfig } from '../src/experiments/deep_config.ts';
import { planDeep } from '../src/experiments/plan.ts';
import { Arena, type Matrix } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { type Program, Recorder } from '../src/gpu/recorder.ts';
import {
  type ConvShape,
  convOutputSize,
  convWeightColumns,
  recordConv2d,
  recordConv2dInputGradient,
  recordConv2dWeightGradient,
} from '../src/kernels/conv.ts';
import { uploadDataset } from '../src/models/device_dataset.ts';
import type { ModelSpec } from '../src/models/specs.ts';
import { Trainer } from '../src/models/trainer.ts';
import { atLeast, atMost, makeRow, type Row } from './rows.ts';
import { type Case, interleave, ratios, type Timing } from './timing.ts';

const same = { kernelSize: 3, stride: 1, padding: 1, batch: 16 } as const;
const doubling = { kernelSize: 4, stride: 2, padding: 1, batch: 16 } as const;

/** Of a transposed convolution `shape` is the convolution that undoes it. */
const SHAPES: readonly { readonly name: string; readonly shape: ConvShape; readonly target?: number }[] = [
  {
    name: 'conv 3x3 32x32x32->64',
    shape: { ...same, height: 32, width: 32, inChannels: 32, outChannels: 64 },
    target: 35,
  },
  {
    name: 'conv 3x3 16x16x64->128',
    shape: { ...same, height: 16, width: 16, inChannels: 64, outChannels: 128 },
    target: 35,
  },
  {
    name: 'transposed conv 4x4 s2 8x8x64->16x16x32',
    shape: { ...doubling, height: 16, width: 16, inChannels: 32, outChannels: 64 },
  },
];

type Direction = 'forward' | 'input gradient' | 'weight gradient';

/** 2 x 3 x 3 products of a batch of 16, each against the ceiling. */
export async function benchConv(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { name, shape, target } of SHAPES) {
    const arena = new Arena(gpu);
    const { fma } = await buildProbes(gpu, arena);
    const programs = await buildConv(gpu, arena, shape);
    const cases: Record<string, Case> = { fma: { run: () => fma.program.run() } };
    for (const [direction, program] of Object.entries(programs)) cases[direction] = { run: () => program.run() };
    const times = await interleave(gpu, cases, timing);
    const ceiling = times.fma.map((ms) => fma.work / ms / 1e6);
    const { height, width } = convOutputSize(shape);
    const { batch, inChannels, outChannels, kernelSize } = shape;
    const flops = 2 * batch * height * width * outChannels * inChannels * kernelSize ** 2;
    for (const direction of Object.keys(programs)) {
      const rates = times[direction].map((ms) => flops / ms / 1e6);
      const share = ratios(rates, ceiling).map((ratio) => 100 * ratio);
      rows.push(makeRow(`${name} ${direction}`, rates, 'GFLOP/s'));
      const goal = target === undefined ? undefined : atLeast(target);
      rows.push(makeRow(`${name} ${direction}, % of FMA ceiling`, share, '%', goal));
    }
    arena.destroy();
  }
  return rows;
}

async function buildConv(gpu: Gpu, arena: Arena, shape: ConvShape): Promise<Record<Direction, Program>> {
  const { batch, height, width, inChannels, outChannels } = shape;
  const small = convOutputSize(shape);
  const filled = (matrix: Matrix): Matrix => {
    // Not zeros: nothing may be skipped, and no number may be denormal. The row of zeros stays.
    const count = matrix.rows * matrix.stride;
    gpu.write(
      matrix,
      Float32Array.from({ length: count }, (_, i) =>
        i % matrix.stride < matrix.columns ? ((i * 37) % 101) / 101 - 0.5 : 0,
      ),
    );
    return matrix;
  };
  const x = filled(arena.image('x', batch, height, width, inChannels));
  const y = arena.image('y', batch, small.height, small.width, outChannels);
  const dy = filled(arena.image('dy', batch, small.height, small.width, outChannels));
  const dx = arena.image('dx', batch, height, width, inChannels);
  const weight = filled(arena.matrix('w', outChannels, convWeightColumns(shape)));
  const dw = arena.matrix('dw', outChannels, convWeightColumns(shape));
  const weights = { kind: 'plain', weight } as const;
  const build = (label: Direction, record: (recorder: Recorder) => void) => {
    const recorder = new Recorder(gpu);
    record(recorder);
    return recorder.build(label);
  };
  return {
    forward: await build('forward', (recorder) =>
      recordConv2d(recorder, { label: 'forward', shape, x, weights, y, pass: 'forward' }),
    ),
    'input gradient': await build('input gradient', (recorder) =>
      recordConv2dInputGradient(recorder, { label: 'input gradient', shape, dy, weights, dx, pass: 'backward' }),
    ),
    'weight gradient': await build('weight gradient', (recorder) =>
      recordConv2dWeightGradient(recorder, arena, { label: 'weight gradient', shape, x, dy, dw }),
    ),
  };
}

const BATCH = 32;
/** Classes of the networks. */
export const PEOPLE = 30;

/** Steps of the `tiny` preset's networks, AMSGrad, everything of one in one submit. */
export async function benchDeep(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const config = parseDeepConfig(deepPreset('tiny', 1), 'tiny');
  const plan = planDeep(config, PEOPLE, gpu.device.limits, { victim: BATCH, inversion: BATCH });
  const rows: Row[] = [];
  for (const [name, network, spec] of [
    ['tiny victim', plan.victim, deepVictim(config, PEOPLE)],
    ['tiny inversion network', plan.inversion, deepInversion(config, PEOPLE)],
  ] as const) {
    const { created, result } = await countBuffers(gpu, () => benchSteps(gpu, timing, name, spec));
    const planned = network.trainingBytes + network.dataBytes;
    const off = [(100 * Math.abs(created - planned)) / planned];
    rows.push(...result, makeRow(`GPU memory of training, ${name}, off its plan by`, off, '%', atMost(5)));
  }
  return rows;
}

/** Bytes of all buffers that are created meanwhile, but for those of read-back, which last as long as it does. */
async function countBuffers<T>(gpu: Gpu, run: () => Promise<T>): Promise<{ created: number; result: T }> {
  const { device } = gpu;
  const create = device.createBuffer;
  let created = 0;
  device.createBuffer = (descriptor) => {
    if (descriptor.label !== 'read-back') created += descriptor.size;
    return create.call(device, descriptor);
  };
  try {
    const result = await run();
    return { created, result };
  } finally {
    device.createBuffer = create;
  }
}

/** A trainer of a network of the `tiny` preset. The data set is one batch: an epoch is one step, and one read-back of the loss. */
export async function deepTrainer(arena: Arena, spec: ModelSpec, batch = BATCH): Promise<Trainer> {
  const side = 32;
  const labels = Uint32Array.from({ length: batch }, (_, i) => i % PEOPLE);
  const dataset = await createDataset({
    name: 'bench',
    width: side,
    height: side,
    classNames: Array.from({ length: PEOPLE }, (_, i) => `class ${i}`),
    images: Uint8Array.from({ length: batch * side * side }, (_, i) => (i * 7919) % 251),
    labels,
    ids: Array.from(labels, (label, i) => `${label}/${i}`),
  });
  const vectors = arena.matrix('vectors', batch, PEOPLE);
  arena.gpu.write(
    vectors,
    Float32Array.from({ length: batch * vectors.stride }, (_, i) => (i % vectors.stride < PEOPLE ? (i * 37) % 50 : 0)),
  );
  const indices = Uint32Array.from(labels.keys());
  const training = deepTraining({ epochs: 10_000, batchSize: batch, learningRate: 1e-3 }, 1);
  return Trainer.create(arena, spec, { ...uploadDataset(arena, dataset), vectors }, indices, training);
}

async function benchSteps(gpu: Gpu, timing: Timing, name: string, spec: ModelSpec): Promise<Row[]> {
  const arena = new Arena(gpu);
  const trainer = await deepTrainer(arena, spec);
  await trainer.trainEpoch();
  const before = gpu.submissions;
  await trainer.trainEpoch();
  const submits = gpu.submissions - before - 1;
  const { step } = await interleave(gpu, { step: { run: () => trainer.trainEpoch() } }, timing);
  trainer.finish();
  arena.destroy();
  return [
    makeRow(`training step, ${name}, batch ${BATCH}`, step, 'ms'),
    makeRow(`submits a training step, ${name}`, [submits], 'submits', atMost(1)),
  ];
}
