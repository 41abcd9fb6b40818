import { describe, expect, it } from 'vitest';
import { Arena, type Matrix } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { type Activation, recordActivationBackward, recordActivationForward } from '../../src/kernels/activation.ts';
import { recordMse, recordSoftmaxCrossEntropy } from '../../src/kernels/loss.ts';
import { recordAdam, recordSgd, writeAdamStep, writeSgdStep } from '../../src/kernels/optimizer.ts';
import {
  recordLogSoftmaxBackward,
  recordLogSoftmaxForward,
  recordSoftmaxBackward,
  recordSoftmaxForward,
} from '../../src/kernels/softmax.ts';
import { recordDenseForward, recordDenseInputGradient, recordDenseParameterGradient } from '../../src/layers/dense.ts';
import { expectAllclose } from '../support/allclose.ts';
import { loadFixture } from '../support/fixtures.ts';
import { Bench, readMatrix, useGpu } from '../support/gpu.ts';
import { sumTolerance, TOLERANCES, type Tolerance } from '../support/tolerances.ts';

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
    recordActivationForward(bench.recorder, { activation: kind, input, output });
    recordActivationBackward(bench.recorder, { activation: kind, output, gradOutput, gradInput });
    await run(bench);
    return {
      y: { values: await readMatrix(bench.gpu, output), tolerance: TOLERANCES[kind] },
      grad_x: { values: await readMatrix(bench.gpu, gradInput), tolerance: TOLERANCES.activationBackward },
    };
  };
}

/** Over the last dimension. */
function softmax(
  forward: typeof recordSoftmaxForward,
  backward: typeof recordSoftmaxBackward,
  tolerance: Tolerance,
): Runner {
  return async (golden) => {
    const bench = new Bench(device.gpu);
    const input = matrixOf(bench, golden, 'x', true);
    const gradOutput = matrixOf(bench, golden, 'grad_y', true);
    const output = bench.output(input.rows, input.columns);
    const gradInput = bench.output(input.rows, input.columns);
    forward(bench.recorder, { input, output });
    backward(bench.recorder, { output, gradOutput, gradInput });
    await run(bench);
    return {
      y: { values: await readMatrix(bench.gpu, output), tolerance },
      grad_x: { values: await readMatrix(bench.gpu, gradInput), tolerance: TOLERANCES.softmaxBackward },
    };
  };
}

function requireMean(golden: GoldenCase): void {
  const { reduction = 'mean' } = golden.parameters;
  if (reduction !== 'mean') throw new Error(`${golden.name}: reduction ${reduction}; the engine has only "mean"`);
}

/** Mean over rows of the first of two results. */
const meanLoss = (results: Float32Array) =>
  results.reduce((sum, value, i) => (i % 2 ? sum : sum + value), 0) / (results.length / 2);

// The kernels start the backward pass: the gradient of the loss itself, grad_y, is 1 in a network; here it scales.
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
  const spec = { name: golden.name, inputs: w.columns, outputs: w.rows, activation: 'none' } as const;
  const weights = { kind: 'plain', weight: w, bias: b } as const;
  const [y, dx] = [bench.output(x.rows, w.rows), bench.output(x.rows, x.columns)];
  const gradient = { weight: bench.output(w.rows, w.columns), bias: bench.output(1, w.rows) };
  recordDenseForward(bench.recorder, bench.arena, spec, weights, x, y);
  recordDenseInputGradient(bench.recorder, bench.arena, spec, weights, dz, dx);
  recordDenseParameterGradient(bench.recorder, bench.arena, spec, x, dz, gradient);
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

/** An op joins the golden tests by an entry here. */
const runners: Readonly<Record<string, Runner>> = {
  linear,
  relu: activation('relu'),
  tanh: activation('tanh'),
  sigmoid: activation('sigmoid'),
  log_softmax: softmax(recordLogSoftmaxForward, recordLogSoftmaxBackward, TOLERANCES.log_softmax),
  softmax: softmax(recordSoftmaxForward, recordSoftmaxBackward, TOLERANCES.softmax),
  cross_entropy: crossEntropy,
  mse,
};

describe('golden ops', () => {
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
  if (missing.size > 0) console.log(`golden ops without a runner yet: ${[...missing].join(', ')}`);

  const runnable = cases.filter(({ op }) => Object.hasOwn(runners, op));
  it.each(runnable)('golden $op: $name', async (golden) => {
    const results = await runners[golden.op](golden);
    const outputs = fixture.keys
      .filter((key) => key.startsWith(`${golden.name}/`))
      .map((key) => key.slice(golden.name.length + 1))
      .filter((tensor) => !INPUTS.includes(tensor));
    expect(outputs).not.toEqual([]);
    for (const tensor of outputs) {
      if (!results[tensor]) throw new Error(`${golden.name}: the runner of ${golden.op} gives no ${tensor}`);
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

describe('golden optimisers', () => {
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

  it.each(cases)('golden optimiser: %s', async (name, { lr, betas, eps, amsgrad, momentum, weightDecay }) => {
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
