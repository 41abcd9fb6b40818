/** Times kernels that read every number once or a few times, not GEMM or convolutions, and a copy in the same rounds. */
import { buildProbes } from '../src/cli/doctor.ts';
import { Arena } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import type { BufferView } from '../src/gpu/guarded_device.ts';
import { recordActivationBackward } from '../src/kernels/activation.ts';
import { recordDropout } from '../src/kernels/dropout.ts';
import { recordSplitReduction } from '../src/kernels/gemm.ts';
import { recordTotalVariation } from '../src/kernels/image.ts';
import { recordMse, recordSoftmaxCrossEntropy } from '../src/kernels/loss.ts';
import { recordEncode, recordMaterialise } from '../src/kernels/memory.ts';
import { recordBatchNormBackward, recordBatchNormTraining } from '../src/kernels/norm.ts';
import { recordAdam, recordClip, recordSgd } from '../src/kernels/optimizer.ts';
import { recordMaxPool2dBackward, recordMaxPool2dForward } from '../src/kernels/pool.ts';
import { columnSumScratchBytes, recordColumnSum } from '../src/kernels/reduce.ts';
import { poolShape } from '../src/layers/pool_shape.ts';
import { CostRecorder, intensityOf } from './cost.ts';
import { filled } from './inputs.ts';
import { uniformSampler } from './masks.ts';
import { makeRow, type Row } from './rows.ts';
import { type Case, interleave, ratios, type Timing } from './timing.ts';

/** Images of a batch, or weights: 4.2 million numbers, 17 MB, which a GPU's caches do not hold. */
const POOL = poolShape('pool', 16, { height: 64, width: 64 }, { kernelSize: 2 });
const CHANNELS = 64;
const COUNT = POOL.batch * POOL.height * POOL.width * CHANNELS;
/** Classes of the shallow model, and enough rows that the kernel takes longer than its launch. */
const [LOGITS, CLASSES] = [2 ** 16, 40];
const PHOTOGRAPH = { height: 112, width: 92 } as const;
const PHOTOGRAPHS = 256;
const SLICES = 4;
const RATE = 0.01;

interface Kernel {
  readonly record: (recorder: CostRecorder) => void;
  /** Buffers that the kernel reads and then overwrites. */
  readonly updated?: readonly BufferView[];
}

export async function benchStreaming(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const arena = new Arena(gpu);
  const { copy } = await buildProbes(gpu, arena);
  const built = await Promise.all(
    Object.entries(kernels(arena)).map(async ([name, { record, updated }]) => {
      const recorder = new CostRecorder(gpu);
      record(recorder);
      return { name, cost: recorder.cost(updated), program: await recorder.build(name) };
    }),
  );
  const cases: Record<string, Case> = { copy: { run: () => copy.program.run() } };
  for (const { name, program } of built) cases[name] = { run: () => program.run() };
  const times = await interleave(gpu, cases, timing);
  arena.destroy();
  const rates = (name: string, bytes: number) => times[name].map((ms) => bytes / ms / 1e6);
  const copied = rates('copy', copy.work);
  return built.flatMap(({ name, cost }) => {
    const moved = rates(name, cost.bytes);
    const share = ratios(moved, copied).map((ratio) => 100 * ratio);
    const roofline = { kernel: name, kind: 'streaming', intensity: intensityOf(cost) } as const;
    return [
      makeRow(name, moved, 'GB/s'),
      makeRow(`${name}, % of a copy's bytes per second`, share, '%', undefined, { roofline }),
    ];
  });
}

function kernels(arena: Arena): Record<string, Kernel> {
  const { gpu } = arena;
  const image = (label: string) => arena.image(label, POOL.batch, POOL.height, POOL.width, CHANNELS);
  const [x, dy] = [filled(gpu, image('x')), filled(gpu, image('dy'))];
  const [y, dx] = [image('y'), image('dx')];
  const pooled = (label: string) => arena.image(label, POOL.batch, POOL.outHeight, POOL.outWidth, CHANNELS);
  const [coarse, gradCoarse] = [pooled('coarse'), filled(gpu, pooled('gradient of coarse'))];
  const chosen = arena.allocate('chosen', coarse.size);
  const vector = (label: string) => filled(gpu, arena.matrix(label, 1, CHANNELS));
  const [gamma, beta, runningMean, runningVariance] = ['gamma', 'beta', 'mean', 'variance'].map(vector);
  const [gradGamma, gradBeta] = ['dgamma', 'dbeta'].map(vector);
  const saved = arena.matrix('saved', 2, CHANNELS);
  const [logits, vectors] = ['logits', 'vectors'].map((label) => filled(gpu, arena.matrix(label, LOGITS, CLASSES)));
  const gradLogits = arena.matrix('gradient of logits', LOGITS, CLASSES);
  const [targets, results] = [arena.allocate('targets', LOGITS * 4), arena.allocate('results', LOGITS * 8)];
  const photographs = (label: string) =>
    filled(gpu, arena.matrix(label, PHOTOGRAPHS, PHOTOGRAPH.height * PHOTOGRAPH.width));
  const [faces, gradFaces] = [photographs('faces'), photographs('gradient of faces')];
  const sum = vector('sum');
  const scratch = arena.allocate('column sum', columnSumScratchBytes(x));
  // Flat buffers of parameters: weights, gradients, moments.
  const [parameters, gradients, first, second, third] = ['w', 'g', 'm', 'v', 'vmax'].map((label) =>
    filled(gpu, arena.matrix(label, COUNT / 1024, 1024)),
  );
  const flat = { count: COUNT, gradients, parameters };
  const adam = { ...flat, firstMoment: first, secondMoment: second, betas: [0.5, 0.999], epsilon: 1e-8 } as const;
  const codes = arena.allocate('codes', COUNT * 2);
  const shape = { rows: parameters.rows, columns: parameters.columns, stride: parameters.stride };
  const { faultTable, fetch } = uniformSampler(arena, RATE, shape);
  const tensor = { ...shape, map: 0, origin: 0, fetch };
  const product = { M: COUNT / 1024 / SLICES, N: 1024, STRIDE_C: 1024, SPLIT_K: SLICES, BIAS: false, ACTIVATION: 0 };
  const c = arena.matrix('c', product.M, product.N);
  return {
    'tanh backward': {
      record: (recorder) =>
        recordActivationBackward(recorder, { activation: 'tanh', output: x, gradOutput: dy, gradInput: dx }),
    },
    dropout: {
      record: (recorder) => recordDropout(recorder, { input: x, output: y, probability: 0.5, seed: 1, tensor: 0 }),
    },
    'batch norm forward': {
      record: (recorder) => {
        const statistics = { runningMean, runningVariance, saved };
        recordBatchNormTraining(recorder, arena, { input: x, gamma, beta, ...statistics, output: y });
      },
    },
    'batch norm backward': {
      record: (recorder) => {
        recordBatchNormBackward(recorder, arena, {
          input: x,
          gamma,
          saved,
          gradOutput: dy,
          gradGamma,
          gradBeta,
          gradInput: dx,
        });
      },
    },
    'max pool forward': {
      record: (recorder) => recordMaxPool2dForward(recorder, { shape: POOL, input: x, output: coarse, chosen }),
    },
    'max pool backward': {
      record: (recorder) =>
        recordMaxPool2dBackward(recorder, { shape: POOL, chosen, gradOutput: gradCoarse, gradInput: dx }),
    },
    'softmax cross-entropy': {
      record: (recorder) => recordSoftmaxCrossEntropy(recorder, { logits, targets, gradLogits, results }),
    },
    'mean squared error': {
      record: (recorder) => recordMse(recorder, { output: logits, target: vectors, gradOutput: gradLogits, results }),
    },
    'total variation': {
      record: (recorder) =>
        recordTotalVariation(recorder, { ...PHOTOGRAPH, input: faces, gradient: gradFaces, weight: 1e-3 }),
      updated: [gradFaces],
    },
    'column sum': { record: (recorder) => recordColumnSum(recorder, { input: x, output: sum, scratch }) },
    SGD: {
      record: (recorder) => recordSgd(recorder, { ...flat, velocity: first, momentum: 0.9, weightDecay: 5e-4 }),
      updated: [parameters, first],
    },
    Adam: { record: (recorder) => recordAdam(recorder, adam), updated: [parameters, first, second] },
    AMSGrad: {
      record: (recorder) => recordAdam(recorder, { ...adam, secondMomentMax: third }),
      updated: [parameters, first, second, third],
    },
    'weight clipping': {
      record: (recorder) => recordClip(recorder, { values: parameters, limit: 0.1 }),
      updated: [parameters],
    },
    'split-K reduction': {
      record: (recorder) => {
        recordSplitReduction(recorder, { label: 'split-K', shape: product, partial: parameters, bias: parameters, c });
      },
    },
    encode: { record: (recorder) => recordEncode(recorder, { tensor, weights: parameters, faultTable, codes }) },
    [`materialise at BER ${RATE}`]: {
      record: (recorder) =>
        recordMaterialise(recorder, { tensor, codes, faultTable, fetched: gradients, passOffset: 0 }),
    },
  };
}
