import { ConfigError, ShapeError } from '../errors.ts';
import type { Arena, Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import {
  ACTIVATION_CODE,
  type Activated,
  type Activation,
  activationConstant,
  requireActivated,
} from './activation.ts';
import { requireBytes, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** PyTorch's default epsilon (added to the variance) and momentum (of the running statistics). */
export const BATCH_NORM_EPSILON = 1e-5;
export const BATCH_NORM_MOMENTUM = 0.1;

/** The parameters and running statistics of a batch normalisation; matrices of 1 x channels. */
export interface BatchNormVectors {
  readonly gamma: Matrix;
  readonly beta: Matrix;
  readonly runningMean: Matrix;
  readonly runningVariance: Matrix;
}

/** Rows that one invocation of an element-wise pass processes, so that it loads the parameters of its channels only once. */
const GROUP_ROWS = 8;

/**
 * Batch normalisation while a network is trained (PyTorch's BatchNorm2d): every channel gets mean 0 and variance 1 over
 * all rows, that is all pixels of all images, then output = act(gamma * normalised + beta). The running statistics move by
 * the fraction `momentum` towards the mean and unbiased variance of the batch. Vectors are matrices of 1 x channels.
 *
 * @param args.input [rows, channels]
 * @param args.runningMean read and updated
 * @param args.runningVariance read and updated
 * @param args.saved 2 x channels, written for {@link recordBatchNormBackward}: means, then 1 / sqrt(variance + epsilon) with
 * the biased variances
 * @param args.output the shape of input, another buffer
 * @param args.activation default none
 * @param args.epsilon above 0
 * @param args.momentum in 0..1
 * @throws ShapeError, also for a single row, which has no unbiased variance; ConfigError
 */
export function recordBatchNormTraining(
  recorder: Recorder,
  arena: Arena,
  args: BatchNormVectors & {
    input: Matrix;
    saved: Matrix;
    output: Matrix;
    activation?: Activation;
    epsilon?: number;
    momentum?: number;
  },
): void {
  const { input, gamma, beta, runningMean, runningVariance, saved, output, activation } = args;
  const { epsilon = BATCH_NORM_EPSILON, momentum = BATCH_NORM_MOMENTUM } = args;
  const kernel = 'batch_norm_statistics';
  const shape = shapeConstants(kernel, 'input', input);
  requireVectors(kernel, input, { runningMean, runningVariance });
  requireSaved(kernel, input, saved);
  requireEpsilon(kernel, epsilon);
  if (!(momentum >= 0 && momentum <= 1)) throw new ConfigError(`${kernel}: momentum ${momentum} is not in 0..1`);
  if (input.rows < 2) {
    throw new ShapeError(
      `${kernel}: input is 1 x ${input.columns}; the variance needs at least 2 rows; give more or larger images`,
    );
  }
  const { partials, scratch } = reductionScratch(arena, input);
  const grid = flatGrid((partials * input.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'norm/batch_norm_statistics.wgsl',
      constants: { ...shape, ...grid.constants, PARTIALS: partials },
    },
    bindings: [
      ['read', input],
      ['write', scratch],
    ],
    workgroups: grid.workgroups,
    flops: 4 * input.rows * input.columns,
  });
  const finish = flatGrid(input.stride / 4);
  recorder.record({
    label: `${kernel}_finish`,
    shader: {
      path: 'norm/batch_norm_statistics_finish.wgsl',
      constants: {
        ...shape,
        ...finish.constants,
        SAVED_STRIDE: saved.stride,
        PARTIALS: partials,
        EPSILON: f32(epsilon),
        MOMENTUM: f32(momentum),
      },
    },
    bindings: [
      ['read', scratch],
      ['write', saved],
      ['write', runningMean],
      ['write', runningVariance],
    ],
    workgroups: finish.workgroups,
    flops: 7 * partials * input.columns,
  });
  recordForward(recorder, { input, gamma, beta, statistics: { saved }, output, activation });
}

/**
 * Batch normalisation by running statistics: output = act((input - runningMean) / sqrt(runningVariance + epsilon) *
 * gamma + beta). Vectors are matrices of 1 x channels.
 *
 * @param args.input [rows, channels]
 * @param args.output the same shape, another buffer
 * @param args.activation default none
 * @throws ShapeError, ConfigError
 */
export function recordBatchNormInference(
  recorder: Recorder,
  args: BatchNormVectors & { input: Matrix; output: Matrix; activation?: Activation; epsilon?: number },
): void {
  const { input, gamma, beta, runningMean, runningVariance, output, activation, epsilon = BATCH_NORM_EPSILON } = args;
  const statistics = { mean: runningMean, variance: runningVariance, epsilon };
  recordForward(recorder, { input, gamma, beta, statistics, output, activation });
}

/**
 * The gradients of {@link recordBatchNormTraining}; the one with respect to the input includes the statistics of the batch.
 *
 * @param args.input input of the forward pass, [rows, channels]
 * @param args.saved statistics that the forward pass saved
 * @param args.activated the activation of the forward pass and its output, where it had one
 * @param args.gradOutput gradient with respect to the output of the forward pass, the shape of input
 * @param args.gradGamma 1 x channels, overwritten
 * @param args.gradBeta 1 x channels, overwritten
 * @param args.gradInput the shape of input, another buffer; omitted in the first layer of a network
 * @throws ShapeError
 */
export function recordBatchNormBackward(
  recorder: Recorder,
  arena: Arena,
  args: {
    input: Matrix;
    gamma: Matrix;
    saved: Matrix;
    activated?: Activated;
    gradOutput: Matrix;
    gradGamma: Matrix;
    gradBeta: Matrix;
    gradInput?: Matrix;
  },
): void {
  const { input, gamma, saved, activated, gradOutput, gradGamma, gradBeta, gradInput } = args;
  const kernel = 'batch_norm_backward';
  const statistics = { saved };
  recordParameterGradients(recorder, arena, { input, statistics, activated, gradOutput, gradGamma, gradBeta });
  if (!gradInput) return;
  const shape = shapeConstants(kernel, 'input', input);
  requireVectors(kernel, input, { gamma });
  requireSameShape(kernel, 'input', input, 'gradInput', gradInput);
  const { workgroups, constants } = groupGrid(input);
  recorder.record({
    label: kernel,
    shader: {
      path: 'norm/batch_norm_backward.wgsl',
      constants: { ...shape, ...constants, SAVED_STRIDE: saved.stride, ...activationConstant(activated) },
    },
    bindings: [
      ['read', input],
      ['read', activated?.output ?? gradOutput],
      ['read', gradOutput],
      ['read', gamma],
      ['read', saved],
      ['read', gradGamma],
      ['read', gradBeta],
      ['write', gradInput],
    ],
    workgroups,
    flops: 5 * input.rows * input.columns,
  });
}

/**
 * The gradients of {@link recordBatchNormInference}, with the running statistics as constants: for an attacker who
 * differentiates a trained model with respect to its input.
 *
 * @param args.gamma 1 x channels, like all vectors
 * @param args.activated the activation of the forward pass and its output, where it had one
 * @param args.gradOutput gradient with respect to the output of the forward pass, [rows, channels]
 * @param args.gradInput the same shape, another buffer
 * @param args.parameters inputs and targets of the gradients of gamma and beta; default: these are not computed
 * @throws ShapeError, ConfigError
 */
export function recordBatchNormInferenceBackward(
  recorder: Recorder,
  arena: Arena,
  args: {
    gamma: Matrix;
    runningVariance: Matrix;
    activated?: Activated;
    gradOutput: Matrix;
    gradInput: Matrix;
    parameters?: { input: Matrix; runningMean: Matrix; gradGamma: Matrix; gradBeta: Matrix };
    epsilon?: number;
  },
): void {
  const { gamma, runningVariance, activated, gradOutput, gradInput, parameters } = args;
  const { epsilon = BATCH_NORM_EPSILON } = args;
  const kernel = 'batch_norm_inference_backward';
  const shape = shapeConstants(kernel, 'gradOutput', gradOutput);
  requireVectors(kernel, gradOutput, { gamma, runningVariance });
  requireSameShape(kernel, 'gradOutput', gradOutput, 'gradInput', gradInput);
  requireActivated(kernel, gradOutput, activated);
  requireEpsilon(kernel, epsilon);
  if (parameters) {
    const { runningMean: mean, ...others } = parameters;
    const statistics = { mean, variance: runningVariance, epsilon };
    recordParameterGradients(recorder, arena, { ...others, statistics, activated, gradOutput });
  }
  const { workgroups, constants } = groupGrid(gradOutput);
  recorder.record({
    label: kernel,
    shader: {
      path: 'norm/batch_norm_inference_backward.wgsl',
      constants: { ...shape, ...constants, ...spreadOf(epsilon), ...activationConstant(activated) },
    },
    bindings: [
      ['read', activated?.output ?? gradOutput],
      ['read', gradOutput],
      ['read', gamma],
      ['read', runningVariance],
      ['write', gradInput],
    ],
    workgroups,
    flops: gradOutput.rows * gradOutput.columns,
  });
}

/** Mean and deviation of every channel: statistics of the batch in training, running statistics otherwise. */
type Statistics =
  | { readonly saved: Matrix }
  | { readonly mean: Matrix; readonly variance: Matrix; readonly epsilon: number };

/** @throws ShapeError, ConfigError */
function recordForward(
  recorder: Recorder,
  args: {
    input: Matrix;
    gamma: Matrix;
    beta: Matrix;
    statistics: Statistics;
    output: Matrix;
    activation?: Activation;
  },
): void {
  const { input, gamma, beta, statistics, output, activation = 'none' } = args;
  const kernel = 'batch_norm_forward';
  const shape = shapeConstants(kernel, 'input', input);
  requireVectors(kernel, input, { gamma, beta });
  const { mean, spread, constants } = bindStatistics(kernel, input, statistics);
  requireSameShape(kernel, 'input', input, 'output', output);
  const grid = groupGrid(input);
  recorder.record({
    label: kernel,
    shader: {
      path: 'norm/batch_norm_forward.wgsl',
      constants: { ...shape, ...grid.constants, ...constants, ACTIVATION: ACTIVATION_CODE[activation] },
    },
    bindings: [
      ['read', input],
      ['read', gamma],
      ['read', beta],
      ['read', mean],
      ['read', spread],
      ['write', output],
    ],
    workgroups: grid.workgroups,
    flops: 3 * input.rows * input.columns,
  });
}

/** @throws ShapeError, ConfigError */
function recordParameterGradients(
  recorder: Recorder,
  arena: Arena,
  args: {
    input: Matrix;
    statistics: Statistics;
    activated?: Activated;
    gradOutput: Matrix;
    gradGamma: Matrix;
    gradBeta: Matrix;
  },
): void {
  const { input, statistics, activated, gradOutput, gradGamma, gradBeta } = args;
  const kernel = 'batch_norm_backward_sums';
  const shape = shapeConstants(kernel, 'input', input);
  requireVectors(kernel, input, { gradGamma, gradBeta });
  const { mean, spread, constants } = bindStatistics(kernel, input, statistics);
  requireSameShape(kernel, 'input', input, 'gradOutput', gradOutput);
  requireActivated(kernel, gradOutput, activated);
  const { partials, scratch } = reductionScratch(arena, input);
  const grid = flatGrid((partials * input.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'norm/batch_norm_backward_sums.wgsl',
      constants: { ...shape, ...grid.constants, PARTIALS: partials, ...activationConstant(activated) },
    },
    bindings: [
      ['read', input],
      ['read', activated?.output ?? gradOutput],
      ['read', gradOutput],
      ['read', mean],
      ['write', scratch],
    ],
    workgroups: grid.workgroups,
    flops: 4 * input.rows * input.columns,
  });
  const finish = flatGrid(input.stride / 4);
  recorder.record({
    label: `${kernel}_finish`,
    shader: {
      path: 'norm/batch_norm_backward_sums_finish.wgsl',
      constants: { ...shape, ...finish.constants, ...constants, PARTIALS: partials },
    },
    bindings: [
      ['read', scratch],
      ['read', spread],
      ['write', gradGamma],
      ['write', gradBeta],
    ],
    workgroups: finish.workgroups,
    flops: 2 * partials * input.columns,
  });
}

/** Bindings of the mean and spread of a kernel, and the constants to read them with. @throws ShapeError, ConfigError */
function bindStatistics(kernel: string, input: Matrix, statistics: Statistics) {
  if ('saved' in statistics) {
    const { saved } = statistics;
    requireSaved(kernel, input, saved);
    return { mean: saved, spread: saved, constants: spreadOf(saved) };
  }
  const { mean, variance, epsilon } = statistics;
  requireVectors(kernel, input, { mean, variance });
  requireEpsilon(kernel, epsilon);
  return { mean, spread: variance, constants: spreadOf(epsilon) };
}

/** Prelude constants of shaders/norm/inverse_deviation.wgsl. @param from saved statistics, or the epsilon of variances */
export function spreadOf(from: Matrix | number) {
  return typeof from === 'number'
    ? { FROM_VARIANCE: true, EPSILON: f32(from), SAVED_STRIDE: 0 }
    : { FROM_VARIANCE: false, EPSILON: f32(0), SAVED_STRIDE: from.stride };
}

/**
 * Partial results of the reductions over rows: about sqrt(rows) results over about sqrt(rows) rows each, so that neither the
 * first stage nor the second, which adds them one by one, takes long. All batch normalisations of an arena share the buffer.
 */
function reductionScratch(arena: Arena, { rows, stride }: Matrix): { partials: number; scratch: BufferView } {
  const partials = Math.ceil(Math.sqrt(rows));
  return { partials, scratch: arena.scratch('batch_norm', partials * stride * 8) };
}

/** A grid with one invocation per four channels and group of rows; GROUPS is the number of groups. */
function groupGrid({ rows, stride }: Matrix) {
  const groups = Math.ceil(rows / GROUP_ROWS);
  const { workgroups, constants } = flatGrid((groups * stride) / 4);
  return { workgroups, constants: { ...constants, GROUPS: groups } };
}

function requireEpsilon(kernel: string, epsilon: number): void {
  if (!(epsilon > 0)) throw new ConfigError(`${kernel}: epsilon ${epsilon} must be above 0`);
}

/** @throws ShapeError unless every vector is 1 x channels of `input` and reaches to the end of the input's stride */
export function requireVectors(kernel: string, input: Matrix, vectors: Readonly<Record<string, Matrix>>): void {
  for (const [name, vector] of Object.entries(vectors)) {
    if (vector.rows !== 1 || vector.columns !== input.columns) {
      throw new ShapeError(
        `${kernel}: ${name} is ${vector.rows} x ${vector.columns} but the tensor is ${input.rows} x ${input.columns}; ` +
          `give 1 x ${input.columns}`,
      );
    }
    requireBytes(kernel, name, vector, input.stride * 4);
  }
}

/** @throws ShapeError unless `saved` is 2 x channels of `input`, with rows that reach to the end of the input's stride */
function requireSaved(kernel: string, input: Matrix, saved: Matrix): void {
  if (saved.rows !== 2 || saved.columns !== input.columns || saved.stride < input.stride) {
    throw new ShapeError(
      `${kernel}: saved is ${saved.rows} x ${saved.columns} (stride ${saved.stride}) but the tensor is ${input.rows} x ` +
        `${input.columns} (stride ${input.stride}); give 2 x ${input.columns}`,
    );
  }
  requireBytes(kernel, 'saved', saved, 2 * saved.stride * 4);
}
