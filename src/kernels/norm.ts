import { ConfigError, ShapeError } from '../errors.ts';
import type { Arena, Matrix } from '../gpu/arena.ts';
import { f32, type ShaderConstant } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** PyTorch's defaults. */
export const BATCH_NORM_EPSILON = 1e-5;
export const BATCH_NORM_MOMENTUM = 0.1;

/** Rows one invocation of an element-wise pass works through, so that it loads the channels' parameters once for them. */
const GROUP_ROWS = 8;

/**
 * Batch normalisation while a network is trained (PyTorch's BatchNorm2d): every channel gets mean 0 and variance 1 over
 * all rows, that is all pixels of all images, then output = gamma * normalised + beta. The running statistics move by
 * `momentum` towards mean and unbiased variance of the batch. Vectors are matrices of 1 x channels.
 *
 * @param args.input [rows, channels]
 * @param args.runningMean moved
 * @param args.runningVariance moved
 * @param args.savedMean written, for {@link recordBatchNormBackward}
 * @param args.savedInverseDeviation written, 1 / sqrt(variance + epsilon) with the biased variance
 * @param args.output the shape of input, another buffer
 * @param args.epsilon above 0
 * @param args.momentum in 0..1
 * @throws ShapeError, of a single row too: it has no unbiased variance; ConfigError
 */
export function recordBatchNormTraining(
  recorder: Recorder,
  arena: Arena,
  args: {
    input: Matrix;
    gamma: Matrix;
    beta: Matrix;
    runningMean: Matrix;
    runningVariance: Matrix;
    savedMean: Matrix;
    savedInverseDeviation: Matrix;
    output: Matrix;
    epsilon?: number;
    momentum?: number;
  },
): void {
  const { input, gamma, beta, runningMean, runningVariance, savedMean, savedInverseDeviation, output } = args;
  const { epsilon = BATCH_NORM_EPSILON, momentum = BATCH_NORM_MOMENTUM } = args;
  const kernel = 'batch_norm_statistics';
  const shape = shapeConstants(kernel, 'input', input);
  requireVectors(kernel, input, { runningMean, runningVariance, savedMean, savedInverseDeviation });
  requireEpsilon(kernel, epsilon);
  if (!(momentum >= 0 && momentum <= 1)) throw new ConfigError(`${kernel}: momentum ${momentum} is not in 0..1`);
  if (input.rows < 2) {
    throw new ShapeError(
      `${kernel}: input is 1 x ${input.columns}; the variance needs 2 rows or more: give more images, or larger ones`,
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
      constants: { ...shape, ...finish.constants, PARTIALS: partials, EPSILON: f32(epsilon), MOMENTUM: f32(momentum) },
    },
    bindings: [
      ['read', scratch],
      ['write', savedMean],
      ['write', savedInverseDeviation],
      ['write', runningMean],
      ['write', runningVariance],
    ],
    workgroups: finish.workgroups,
    flops: 7 * partials * input.columns,
  });
  recordForward(recorder, { input, gamma, beta, mean: savedMean, spread: savedInverseDeviation, output });
}

/**
 * Batch normalisation of a finished network: output = (input - runningMean) / sqrt(runningVariance + epsilon) * gamma +
 * beta. Vectors are matrices of 1 x channels.
 *
 * @param args.input [rows, channels]
 * @param args.output the same shape, another buffer
 * @throws ShapeError, ConfigError
 */
export function recordBatchNormInference(
  recorder: Recorder,
  args: {
    input: Matrix;
    gamma: Matrix;
    beta: Matrix;
    runningMean: Matrix;
    runningVariance: Matrix;
    output: Matrix;
    epsilon?: number;
  },
): void {
  const { input, gamma, beta, runningMean, runningVariance, output, epsilon = BATCH_NORM_EPSILON } = args;
  recordForward(recorder, { input, gamma, beta, mean: runningMean, spread: runningVariance, output, epsilon });
}

/**
 * The gradients of {@link recordBatchNormTraining}; that to the input runs through the statistics of the batch as well.
 *
 * @param args.input what the forward pass was given, [rows, channels]
 * @param args.savedMean of the forward pass
 * @param args.savedInverseDeviation of the forward pass
 * @param args.gradOutput the shape of input
 * @param args.gradGamma 1 x channels, overwritten
 * @param args.gradBeta 1 x channels, overwritten
 * @param args.gradInput the shape of input, another buffer; left out in a network's first layer
 * @throws ShapeError
 */
export function recordBatchNormBackward(
  recorder: Recorder,
  arena: Arena,
  args: {
    input: Matrix;
    gamma: Matrix;
    savedMean: Matrix;
    savedInverseDeviation: Matrix;
    gradOutput: Matrix;
    gradGamma: Matrix;
    gradBeta: Matrix;
    gradInput?: Matrix;
  },
): void {
  const { input, gamma, savedMean, savedInverseDeviation, gradOutput, gradGamma, gradBeta, gradInput } = args;
  const kernel = 'batch_norm_backward';
  const spread = savedInverseDeviation;
  recordParameterGradients(recorder, arena, { input, mean: savedMean, spread, gradOutput, gradGamma, gradBeta });
  if (!gradInput) return;
  const shape = shapeConstants(kernel, 'input', input);
  requireVectors(kernel, input, { gamma });
  requireSameShape(kernel, 'input', input, 'gradInput', gradInput);
  const { workgroups, constants } = groupGrid(input);
  recorder.record({
    label: kernel,
    shader: { path: 'norm/batch_norm_backward.wgsl', constants: { ...shape, ...constants } },
    bindings: [
      ['read', input],
      ['read', gradOutput],
      ['read', gamma],
      ['read', savedMean],
      ['read', savedInverseDeviation],
      ['read', gradGamma],
      ['read', gradBeta],
      ['write', gradInput],
    ],
    workgroups,
    flops: 5 * input.rows * input.columns,
  });
}

/**
 * The gradients of {@link recordBatchNormInference}, the running statistics being constants: what an attacker needs who
 * differentiates a finished model with respect to its input.
 *
 * @param args.gamma 1 x channels, as all vectors
 * @param args.gradOutput [rows, channels]
 * @param args.gradInput the same shape, another buffer
 * @param args.parameters for the gradients of gamma and beta, too: what the forward pass was given, and where they go
 * @throws ShapeError, ConfigError
 */
export function recordBatchNormInferenceBackward(
  recorder: Recorder,
  arena: Arena,
  args: {
    gamma: Matrix;
    runningVariance: Matrix;
    gradOutput: Matrix;
    gradInput: Matrix;
    parameters?: { input: Matrix; runningMean: Matrix; gradGamma: Matrix; gradBeta: Matrix };
    epsilon?: number;
  },
): void {
  const { gamma, runningVariance, gradOutput, gradInput, parameters, epsilon = BATCH_NORM_EPSILON } = args;
  const kernel = 'batch_norm_inference_backward';
  const shape = shapeConstants(kernel, 'gradOutput', gradOutput);
  requireVectors(kernel, gradOutput, { gamma, runningVariance });
  requireSameShape(kernel, 'gradOutput', gradOutput, 'gradInput', gradInput);
  requireEpsilon(kernel, epsilon);
  if (parameters) {
    const { runningMean: mean, ...others } = parameters;
    recordParameterGradients(recorder, arena, { ...others, mean, spread: runningVariance, gradOutput, epsilon });
  }
  const { workgroups, constants } = groupGrid(gradOutput);
  recorder.record({
    label: kernel,
    shader: {
      path: 'norm/batch_norm_inference_backward.wgsl',
      constants: { ...shape, ...constants, ...spreadConstants(epsilon) },
    },
    bindings: [
      ['read', gradOutput],
      ['read', gamma],
      ['read', runningVariance],
      ['write', gradInput],
    ],
    workgroups,
    flops: gradOutput.rows * gradOutput.columns,
  });
}

/** @param args.spread a variance where there is an epsilon, else 1 / sqrt(variance + epsilon) */
function recordForward(
  recorder: Recorder,
  args: {
    input: Matrix;
    gamma: Matrix;
    beta: Matrix;
    mean: Matrix;
    spread: Matrix;
    output: Matrix;
    epsilon?: number;
  },
): void {
  const { input, gamma, beta, mean, spread, output, epsilon } = args;
  const kernel = 'batch_norm_forward';
  const shape = shapeConstants(kernel, 'input', input);
  requireVectors(kernel, input, { gamma, beta, mean, spread });
  requireSameShape(kernel, 'input', input, 'output', output);
  if (epsilon !== undefined) requireEpsilon(kernel, epsilon);
  const { workgroups, constants } = groupGrid(input);
  recorder.record({
    label: kernel,
    shader: {
      path: 'norm/batch_norm_forward.wgsl',
      constants: { ...shape, ...constants, ...spreadConstants(epsilon) },
    },
    bindings: [
      ['read', input],
      ['read', gamma],
      ['read', beta],
      ['read', mean],
      ['read', spread],
      ['write', output],
    ],
    workgroups,
    flops: 3 * input.rows * input.columns,
  });
}

/** @param args.spread as in {@link recordForward} */
function recordParameterGradients(
  recorder: Recorder,
  arena: Arena,
  args: {
    input: Matrix;
    mean: Matrix;
    spread: Matrix;
    gradOutput: Matrix;
    gradGamma: Matrix;
    gradBeta: Matrix;
    epsilon?: number;
  },
): void {
  const { input, mean, spread, gradOutput, gradGamma, gradBeta, epsilon } = args;
  const kernel = 'batch_norm_backward_sums';
  const shape = shapeConstants(kernel, 'input', input);
  requireVectors(kernel, input, { mean, spread, gradGamma, gradBeta });
  requireSameShape(kernel, 'input', input, 'gradOutput', gradOutput);
  const { partials, scratch } = reductionScratch(arena, input);
  const grid = flatGrid((partials * input.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'norm/batch_norm_backward_sums.wgsl',
      constants: { ...shape, ...grid.constants, PARTIALS: partials },
    },
    bindings: [
      ['read', input],
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
      constants: { ...shape, ...finish.constants, ...spreadConstants(epsilon), PARTIALS: partials },
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

/**
 * Partial results of the reductions over rows: about sqrt(rows) of about sqrt(rows) rows each, so that neither the first
 * stage nor the second, which goes through them one by one, takes long. All batch normalisations of an arena share them.
 */
function reductionScratch(arena: Arena, { rows, stride }: Matrix): { partials: number; scratch: BufferView } {
  const partials = Math.ceil(Math.sqrt(rows));
  return { partials, scratch: arena.scratch('batch_norm', partials * stride * 8) };
}

/** A grid of four channels times GROUPS groups of rows an invocation. */
function groupGrid({ rows, stride }: Matrix) {
  const groups = Math.ceil(rows / GROUP_ROWS);
  const { workgroups, constants } = flatGrid((groups * stride) / 4);
  return { workgroups, constants: { ...constants, GROUPS: groups } };
}

/** Prelude constants of shaders/norm/inverse_deviation.wgsl. */
function spreadConstants(epsilon: number | undefined): Record<'FROM_VARIANCE' | 'EPSILON', ShaderConstant> {
  return { FROM_VARIANCE: epsilon !== undefined, EPSILON: f32(epsilon ?? 0) };
}

function requireEpsilon(kernel: string, epsilon: number): void {
  if (!(epsilon > 0)) throw new ConfigError(`${kernel}: epsilon ${epsilon} must be above 0`);
}

/** @throws ShapeError unless every vector is 1 x channels of `input` and reaches to the end of the input's stride */
function requireVectors(kernel: string, input: Matrix, vectors: Readonly<Record<string, Matrix>>): void {
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
