import { describe, expect, it } from 'vitest';
import { Arena, type Matrix, rowOf } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { type Activation, recordActivationBackward } from '../../src/kernels/activation.ts';
import { recordConv2d, recordConv2dInputGradient, recordConv2dWeightGradient } from '../../src/kernels/conv.ts';
import { type ConvShape, convWeightColumns } from '../../src/kernels/conv_shape.ts';
import { recordMse, recordSoftmaxCrossEntropy } from '../../src/kernels/loss.ts';
import {
  recordBatchNormBackward,
  recordBatchNormInference,
  recordBatchNormInferenceBackward,
  recordBatchNormTraining,
} from '../../src/kernels/norm.ts';
import { recordAdam, recordSgd, writeAdamStep, writeSgdStep } from '../../src/kernels/optimizer.ts';
import { recordMaxPool2dBackward, recordMaxPool2dForward, windowsPerPixel } from '../../src/kernels/pool.ts';
import { DENSE, recordBiasGradient } from '../../src/layers/dense.ts';
import { INFERENCE } from '../../src/layers/layer.ts';
import { poolShape } from '../../src/layers/pool_shape.ts';
import { batchNormTolerance, sumTolerance, TOLERANCES, type Tolerance } from '../../src/reference/tolerances.ts';
import { recordActivated } from '../support/activated.ts';
import { expectAllclose } from '../support/allclose.ts';
import { unpadWeights, weightMatrix } from '../support/conv.ts';
import { loadFixture } from '../support/fixtures.ts';
import { Bench, readMatrix, useGpu } from '../support/gpu.ts';
import { imageRows, imageRowsToWrite, imagesShape, toNchw, toNhwc } from '../support/nhwc.ts';

const device = useGpu();

/** One case of ops.json. Tensors are looked up by their short name, for example `x` or `grad_y`. */
interface GoldenCase {
  readonly name: string;
  readonly op: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  shape(tensor: string): readonly number[];
  floats(tensor: string): Float32Array<ArrayBuffer>;
  /** Integers, for class targets. */
  integers(tensor: string): Uint32Array<ArrayBuffer>;
}

interface Result {
  readonly values: ArrayLike<number>;
  readonly tolerance: Tolerance;
}

/** Computes every output of a case on the device, under the names the fixture gives them. */
type Runner = (golden: GoldenCase) => Promise<Record<string, Result>>;

/** Inputs of cases; every other tensor of a case is an output that its runner must return. */
const INPUTS = ['x', 'w', 'b', 'gamma', 'beta', 'target', 'grad_y', 'running_mean_in', 'running_var_in'];

// Rows are the first dimension; a vector is one row.
function matrixOf(bench: Bench, golden: GoldenCase, tensor: string, rowsAreLeading = false): Matrix {
  const shape = golden.shape(tensor);
  const size = shape.reduce((product, n) => product * n, 1);
  const columns = rowsAreLeading || shape.length < 2 ? (shape.at(-1) ?? 1) : size / shape[0];
  return bench.matrix(size / columns, columns, golden.floats(tensor));
}

async function run(bench: Bench): Promise<void> {
  (await bench.recorder.build('golden')).run();
}

function activation(kind: Activation): Runner {
  return async (golden) => {
    const bench = new Bench(device.gpu);
    const input = matrixOf(bench, golden, 'x');
    const gradOutput = matrixOf(bench, golden, 'grad_y');
    const output = bench.output(input.rows, input.columns);
    const gradInput = bench.output(input.rows, input.columns);
    recordActivated(bench, kind, input, output);
    recordActivationBackward(bench.recorder, { activation: kind, output, gradOutput, gradInput });
    await run(bench);
    return {
      y: { values: await readMatrix(bench.gpu, output), tolerance: TOLERANCES[kind] },
      grad_x: { values: await readMatrix(bench.gpu, gradInput), tolerance: TOLERANCES.activationBackward },
    };
  };
}

function requireMean(golden: GoldenCase): void {
  const { reduction = 'mean' } = golden.parameters;
  if (reduction !== 'mean') throw new Error(`${golden.name}: reduction ${reduction}; the engine has only "mean"`);
}

/** Mean over rows of the loss, the first of the two results of a row. */
const meanLoss = (results: Float32Array) =>
  results.reduce((sum, value, i) => (i % 2 ? sum : sum + value), 0) / (results.length / 2);

// The kernels of losses start a backward pass from a gradient of 1. Fixtures have another one, grad_y, that scales.
const scaled = (values: Float32Array, golden: GoldenCase) => values.map((value) => value * golden.floats('grad_y')[0]);

const crossEntropy: Runner = async (golden) => {
  requireMean(golden);
  const bench = new Bench(device.gpu);
  const logits = matrixOf(bench, golden, 'x');
  const gradLogits = bench.output(logits.rows, logits.columns);
  const results = bench.buffer(new Float32Array(logits.rows * 2));
  const targets = bench.buffer(golden.integers('target'));
  recordSoftmaxCrossEntropy(bench.recorder, { logits, targets, gradLogits, results });
  await run(bench);
  const losses = (await bench.gpu.readFloats(results)).subarray(0, logits.rows * 2);
  return {
    y: { values: [meanLoss(losses)], tolerance: TOLERANCES.cross_entropy },
    grad_x: {
      values: scaled(await readMatrix(bench.gpu, gradLogits), golden),
      tolerance: TOLERANCES.crossEntropyGradient,
    },
  };
};

const mse: Runner = async (golden) => {
  requireMean(golden);
  const bench = new Bench(device.gpu);
  const output = matrixOf(bench, golden, 'x');
  const target = matrixOf(bench, golden, 'target');
  const { rows, columns } = output;
  const [gradOutput, gradTarget] = [bench.output(rows, columns), bench.output(rows, columns)];
  const results = bench.buffer(new Float32Array(rows * 2));
  recordMse(bench.recorder, { output: target, target: output, gradOutput: gradTarget, results });
  recordMse(bench.recorder, { output, target, gradOutput, results });
  await run(bench);
  const tolerance = TOLERANCES.mseGradient;
  const losses = (await bench.gpu.readFloats(results)).subarray(0, rows * 2);
  return {
    y: { values: [meanLoss(losses)], tolerance: TOLERANCES.mse },
    grad_x: { values: scaled(await readMatrix(bench.gpu, gradOutput), golden), tolerance },
    grad_target: { values: scaled(await readMatrix(bench.gpu, gradTarget), golden), tolerance },
  };
};

const linear: Runner = async (golden) => {
  const bench = new Bench(device.gpu);
  const [x, w] = [matrixOf(bench, golden, 'x'), matrixOf(bench, golden, 'w')];
  const [b, dz] = [matrixOf(bench, golden, 'b'), matrixOf(bench, golden, 'grad_y')];
  const spec = { kind: 'dense', name: golden.name, inputs: w.columns, outputs: w.rows, activation: 'none' } as const;
  const weights = { kind: 'plain', weight: w, bias: b, reads: [] } as const;
  const [y, dx] = [bench.output(x.rows, w.rows), bench.output(x.rows, x.columns)];
  const gradient = { weight: bench.output(w.rows, w.columns), bias: bench.output(1, w.rows) };
  const { recorder, arena } = bench;
  const layer = {
    recorder,
    arena,
    spec,
    batch: x.rows,
    mode: INFERENCE,
    place: 0,
    x,
    xs: [x],
    y,
    saved: {},
    weights: () => weights,
  };
  DENSE.forward(layer);
  DENSE.backward(layer, { dy: dz, dx, dxs: [dx], parameters: gradient });
  await run(bench);
  const result = async (matrix: Matrix, terms: number): Promise<Result> => ({
    values: await readMatrix(bench.gpu, matrix),
    tolerance: sumTolerance(terms),
  });
  // Elements are normally distributed, so a term may be larger than 1; PyTorch rounds as well.
  return {
    y: await result(y, 2 * w.columns),
    grad_x: await result(dx, 2 * w.rows),
    grad_w: await result(gradient.weight, 2 * x.rows),
    grad_b: await result(gradient.bias, 2 * x.rows),
  };
};

/** A parameter of a case that must be a number. */
function numberOf(golden: GoldenCase, name: string): number {
  const value = golden.parameters[name];
  if (typeof value !== 'number') throw new Error(`${golden.name}: ${name} is ${value}, not a number`);
  return value;
}

/** An NCHW tensor as rows of pixels. */
function pixelsOf(bench: Bench, golden: GoldenCase, tensor: string): Matrix {
  const shape = imagesShape(golden.shape(tensor));
  return imageRows(bench, shape[0] * shape[2] * shape[3], toNhwc(golden.floats(tensor), shape));
}

/** Rows of pixels for a result with the shape of an NCHW tensor, and a function that reads it as NCHW. */
function pixelsToWrite(bench: Bench, golden: GoldenCase, tensor: string) {
  const shape = imagesShape(golden.shape(tensor));
  const matrix = imageRowsToWrite(bench, shape[0] * shape[2] * shape[3], shape[1]);
  const read = async () => toNchw(await readMatrix(bench.gpu, matrix), shape);
  return { matrix, read };
}

const batchNorm: Runner = async (golden) => {
  const bench = new Bench(device.gpu);
  const { recorder, arena } = bench;
  const epsilon = numberOf(golden, 'eps');
  const [input, gradOutput] = [pixelsOf(bench, golden, 'x'), pixelsOf(bench, golden, 'grad_y')];
  const [gamma, beta] = [matrixOf(bench, golden, 'gamma'), matrixOf(bench, golden, 'beta')];
  const runningMean = matrixOf(bench, golden, 'running_mean_in');
  const runningVariance = matrixOf(bench, golden, 'running_var_in');
  const [y, dx] = [pixelsToWrite(bench, golden, 'x'), pixelsToWrite(bench, golden, 'x')];
  const vector = () => bench.output(1, input.columns);
  const [gradGamma, gradBeta] = [vector(), vector()];
  const saved = bench.output(2, input.columns);
  const { training } = golden.parameters;
  if (training) {
    const momentum = numberOf(golden, 'momentum');
    const running = { runningMean, runningVariance };
    const gradients = { gradOutput, gradGamma, gradBeta, gradInput: dx.matrix };
    const output = y.matrix;
    recordBatchNormTraining(recorder, arena, { input, gamma, beta, ...running, saved, output, epsilon, momentum });
    recordBatchNormBackward(recorder, arena, { input, gamma, saved, ...gradients });
  } else {
    const parameters = { input, runningMean, gradGamma, gradBeta };
    const gradients = { gradOutput, gradInput: dx.matrix, parameters };
    const output = y.matrix;
    recordBatchNormInference(recorder, { input, gamma, beta, runningMean, runningVariance, output, epsilon });
    recordBatchNormInferenceBackward(recorder, arena, { gamma, runningVariance, ...gradients, epsilon });
  }
  await run(bench);
  const read = (matrix: Matrix) => readMatrix(bench.gpu, matrix);
  const deviations = training
    ? await read(rowOf(saved, 1))
    : golden.floats('running_var_in').map((variance) => 1 / Math.sqrt(variance + epsilon));
  const tolerance = batchNormTolerance(deviations);
  const sums = { ...tolerance, absolute: tolerance.absolute + sumTolerance(4 * input.rows).absolute };
  return {
    y: { values: await y.read(), tolerance },
    grad_x: { values: await dx.read(), tolerance },
    grad_gamma: { values: await read(gradGamma), tolerance: sums },
    grad_beta: { values: await read(gradBeta), tolerance: sums },
    running_mean_out: { values: await read(runningMean), tolerance: TOLERANCES.batchNormMean },
    running_var_out: { values: await read(runningVariance), tolerance: TOLERANCES.batchNormVariance },
  };
};

const maxPool: Runner = async (golden) => {
  const bench = new Bench(device.gpu);
  const [batch, , height, width] = imagesShape(golden.shape('x'));
  const { padding = 0 } = golden.parameters;
  if (typeof padding !== 'number') throw new Error(`${golden.name}: padding is ${padding}, not a number`);
  const [kernelSize, stride] = [numberOf(golden, 'kernel'), numberOf(golden, 'stride')];
  const shape = poolShape(golden.name, batch, { height, width }, { kernelSize, stride, padding });
  const [y, dx] = [pixelsToWrite(bench, golden, 'y'), pixelsToWrite(bench, golden, 'x')];
  const chosen = bench.arena.allocate('chosen', y.matrix.rows * y.matrix.stride * 4);
  const gradOutput = pixelsOf(bench, golden, 'grad_y');
  recordMaxPool2dForward(bench.recorder, { shape, input: pixelsOf(bench, golden, 'x'), output: y.matrix, chosen });
  recordMaxPool2dBackward(bench.recorder, { shape, chosen, gradOutput, gradInput: dx.matrix });
  await run(bench);
  return {
    y: { values: await y.read(), tolerance: TOLERANCES.exact },
    grad_x: { values: await dx.read(), tolerance: sumTolerance(windowsPerPixel(shape)) },
  };
};

/** In a transposed convolution x is the small and y the large side of the convolution whose input gradient it computes. */
function convolution(transposed: boolean): Runner {
  return async (golden) => {
    const bench = new Bench(device.gpu);
    const { recorder, arena } = bench;
    const [largeName, smallName] = transposed ? ['grad_y', 'x'] : ['x', 'grad_y'];
    const [batch, inChannels, height, width] = imagesShape(golden.shape(largeName));
    const weightShape = imagesShape(golden.shape('w'));
    const [outChannels, , kernelSize] = weightShape;
    const [stride, padding] = [numberOf(golden, 'stride'), numberOf(golden, 'padding')];
    const shape: ConvShape = { batch, height, width, inChannels, outChannels, kernelSize, stride, padding };
    const weight = weightMatrix(bench, shape, toNhwc(golden.floats('w'), weightShape));
    const weights = { kind: 'plain', weight, bias: matrixOf(bench, golden, 'b') } as const;
    const [large, small] = [pixelsOf(bench, golden, largeName), pixelsOf(bench, golden, smallName)];
    const [toLarge, toSmall] = [pixelsToWrite(bench, golden, largeName), pixelsToWrite(bench, golden, smallName)];
    const [intoLarge, intoSmall] = [toLarge.matrix, toSmall.matrix];
    const dw = bench.output(outChannels, convWeightColumns(shape));
    const db = bench.output(1, transposed ? inChannels : outChannels);
    const common = { label: golden.name, shape, weights };
    const [up, down] = transposed ? (['forward', 'backward'] as const) : (['backward', 'forward'] as const);
    recordConv2d(recorder, { ...common, pass: down, x: large, y: intoSmall });
    recordConv2dInputGradient(recorder, { ...common, pass: up, dy: small, dx: intoLarge });
    recordConv2dWeightGradient(recorder, arena, { ...common, x: large, dy: small, dw });
    recordBiasGradient(recorder, arena, golden.name, transposed ? large : small, db);
    await run(bench);
    // Elements are normally distributed, so a term may be larger than 1; PyTorch rounds as well.
    const terms = (count: number) => sumTolerance(2 * count);
    const inLarge = { values: await toLarge.read(), tolerance: terms(kernelSize ** 2 * outChannels) };
    const inSmall = { values: await toSmall.read(), tolerance: terms(kernelSize ** 2 * inChannels) };
    const dwValues = unpadWeights(shape, await readMatrix(bench.gpu, dw), dw.columns);
    return {
      y: transposed ? inLarge : inSmall,
      grad_x: transposed ? inSmall : inLarge,
      grad_w: { values: toNchw(dwValues, weightShape), tolerance: terms(small.rows) },
      grad_b: { values: await readMatrix(bench.gpu, db), tolerance: terms(transposed ? large.rows : small.rows) },
    };
  };
}

/** An operation takes part in the golden tests if it has an entry here. */
const runners: Readonly<Record<string, Runner>> = {
  linear,
  relu: activation('relu'),
  tanh: activation('tanh'),
  sigmoid: activation('sigmoid'),
  cross_entropy: crossEntropy,
  mse,
  batch_norm2d: batchNorm,
  max_pool2d: maxPool,
  conv2d: convolution(false),
  conv_transpose2d: convolution(true),
};

describe('golden tensors of operations', () => {
  const fixture = loadFixture('ops');
  const isCase = (value: unknown): value is { op: string } =>
    typeof value === 'object' && value !== null && 'op' in value;
  const cases = Object.entries(fixture.description).flatMap(([name, parameters]): GoldenCase[] =>
    isCase(parameters)
      ? [
          {
            name,
            op: parameters.op,
            parameters: { ...parameters },
            shape: (tensor) => fixture.tensor(`${name}/${tensor}`).shape,
            floats: (tensor) => fixture.floats(`${name}/${tensor}`),
            integers: (tensor) => Uint32Array.from(fixture.tensor(`${name}/${tensor}`).data, Number),
          },
        ]
      : [],
  );
  const missing = new Set(cases.map(({ op }) => op).filter((op) => !Object.hasOwn(runners, op)));
  it('every golden operation has a kernel or is part of one: softmax is computed inside cross-entropy and the attacks’ costs', () => {
    expect([...missing].filter((op) => op !== 'softmax' && op !== 'log_softmax')).toEqual([]);
  });

  const runnable = cases.filter(({ op }) => Object.hasOwn(runners, op));
  it.each(runnable)('golden $op: the kernels reproduce $name', async (golden) => {
    const results = await runners[golden.op](golden);
    const outputs = fixture.keys
      .filter((key) => key.startsWith(`${golden.name}/`))
      .map((key) => key.slice(golden.name.length + 1))
      .filter((tensor) => !INPUTS.includes(tensor));
    expect(outputs).not.toEqual([]);
    for (const tensor of outputs) {
      if (!results[tensor]) throw new Error(`${golden.name}: the runner of ${golden.op} returns no ${tensor}`);
      const { values, tolerance } = results[tensor];
      expectAllclose(values, golden.floats(tensor), tolerance, `${golden.name}/${tensor}`);
    }
  });
});

interface OptimizerCase {
  lr: number;
  betas?: [number, number];
  eps?: number;
  amsgrad?: boolean;
  momentum?: number;
  weightDecay?: number;
}

describe('golden tensors of optimisers', () => {
  const fixture = loadFixture('optim');
  const isCase = (value: unknown): value is OptimizerCase =>
    typeof value === 'object' && value !== null && 'lr' in value;
  const cases = Object.entries(fixture.description).filter((entry): entry is [string, OptimizerCase] =>
    isCase(entry[1]),
  );
  // The note says how gradients become smaller: "steps 3.. use 0.1*grad", counted from 0.
  const note = /steps (\d+)\.\. use ([\d.]+)\*grad/.exec(String(fixture.description.note ?? ''));
  const gradientOf = (step: number) =>
    fixture.floats(`grad${step}`).map((value) => (note && step >= Number(note[1]) ? value * Number(note[2]) : value));
  const steps = fixture.keys.filter((key) => /^grad\d+$/.test(key)).length;

  it.each(cases)('the kernel reproduces %s', async (name, { lr, betas, eps, amsgrad, momentum, weightDecay }) => {
    const { gpu } = device;
    const arena = new Arena(gpu);
    const initial = fixture.floats('param0');
    const count = initial.length;
    const allocate = (label: string) => arena.allocate(label, count * 4);
    const [gradients, parameters] = [allocate('gradients'), allocate('parameters')];
    gpu.write(parameters, initial);
    const recorder = new Recorder(gpu);
    if (betas) {
      recordAdam(recorder, {
        count,
        gradients,
        parameters,
        firstMoment: allocate('first moment'),
        secondMoment: allocate('second moment'),
        secondMomentMax: amsgrad ? allocate('largest second moment') : undefined,
        betas,
        epsilon: eps ?? 1e-8,
        weightDecay,
      });
    } else {
      const velocity = allocate('velocity');
      recordSgd(recorder, {
        count,
        gradients,
        parameters,
        velocity,
        momentum: momentum ?? 0,
        weightDecay: weightDecay ?? 0,
      });
    }
    const program = await recorder.build(name);
    expect(steps).toBeGreaterThan(0);
    for (let step = 1; step <= steps; step++) {
      gpu.write(gradients, gradientOf(step - 1));
      if (betas) writeAdamStep(program, lr, betas, step);
      else writeSgdStep(program, lr);
      program.run();
      expectAllclose(
        (await gpu.readFloats(parameters)).subarray(0, count),
        fixture.floats(`${name}/param${step}`),
        betas ? TOLERANCES.adam : TOLERANCES.sgd,
        `${name} after step ${step}`,
      );
    }
    arena.destroy();
  });
});
