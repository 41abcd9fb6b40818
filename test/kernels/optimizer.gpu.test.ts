import { expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { recordAdam, recordSgd, writeAdamStep, writeSgdStep } from '../../src/kernels/optimizer.ts';
import { NORM_SCRATCH_BYTES, recordAddClipped } from '../../src/kernels/private_gradient.ts';
import { type AdamState, adam, sgd } from '../../src/reference/optimizer.ts';
import { clipGradient } from '../../src/reference/private_gradient.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { expectAllclose } from '../support/allclose.ts';
import { checkKernel, randomValues, useGpu } from '../support/gpu.ts';

const device = useGpu();
const COUNTS = [1, 4, 50, 257, 1000];
const STEPS = 5;

/** Gradients that shrink after step 2, so that AMSGrad's running maximum matters; some are exactly zero. */
const gradientOf = (count: number, step: number) =>
  randomValues(count, 10 + step, step < 3 ? 1 : 0.1).map((value, i) => (i % 11 === 0 ? 0 : value));

it.each(COUNTS)('SGD with momentum and weight decay follows its reference, %i elements', async (count) => {
  const { gpu } = device;
  const options = { momentum: 0.9, weightDecay: 0.01 };
  const arena = new Arena(gpu);
  const [gradients, parameters, velocity] = ['g', 'w', 'v'].map((name) => arena.allocate(name, count * 4));
  const initial = randomValues(count, 1);
  gpu.write(parameters, initial);
  const recorder = new Recorder(gpu);
  recordSgd(recorder, { count, gradients, parameters, velocity, ...options });
  const program = await recorder.build('sgd');
  const [w, v] = [Float64Array.from(initial), new Float64Array(count)];
  for (let step = 1; step <= STEPS; step++) {
    const gradient = gradientOf(count, step);
    gpu.write(gradients, gradient);
    writeSgdStep(program, 0.1 / step);
    program.run();
    sgd(w, gradient, v, 0.1 / step, options);
  }
  expectAllclose((await gpu.readFloats(parameters)).subarray(0, count), w, TOLERANCES.sgd, 'parameters');
  expectAllclose((await gpu.readFloats(velocity)).subarray(0, count), v, TOLERANCES.sgd, 'velocity');
  arena.destroy();
});

it.each(COUNTS.flatMap((count) => [[count, false] as const, [count, true] as const]))(
  'Adam follows its reference, %i elements, AMSGrad %s',
  async (count, amsgrad) => {
    const { gpu } = device;
    const options = { betas: [0.5, 0.999] as const, epsilon: 1e-8, weightDecay: 0.01 };
    const arena = new Arena(gpu);
    const names = ['gradients', 'parameters', 'firstMoment', 'secondMoment', 'secondMomentMax'] as const;
    const [gradients, parameters, firstMoment, secondMoment, largest] = names.map((name) =>
      arena.allocate(name, count * 4),
    );
    const secondMomentMax = amsgrad ? largest : undefined;
    const initial = randomValues(count, 1);
    gpu.write(parameters, initial);
    const recorder = new Recorder(gpu);
    recordAdam(recorder, { count, gradients, parameters, firstMoment, secondMoment, secondMomentMax, ...options });
    const program = await recorder.build('adam');
    const w = Float64Array.from(initial);
    const state: AdamState = { first: new Float64Array(count), second: new Float64Array(count) };
    if (amsgrad) state.secondMax = new Float64Array(count);
    for (let step = 1; step <= STEPS; step++) {
      const gradient = gradientOf(count, step);
      gpu.write(gradients, gradient);
      writeAdamStep(program, 0.01, options.betas, step);
      program.run();
      adam(w, gradient, state, 0.01, step, options);
    }
    const check = async (
      view: typeof parameters,
      expected: Float64Array,
      op: 'adam' | 'firstMoment' | 'secondMoment',
    ) => expectAllclose((await gpu.readFloats(view)).subarray(0, count), expected, TOLERANCES[op], op);
    await check(parameters, w, 'adam');
    await check(firstMoment, state.first, 'firstMoment');
    await check(secondMoment, state.second, 'secondMoment');
    if (state.secondMax) await check(largest, state.secondMax, 'secondMoment');
    arena.destroy();
  },
);

it('padding stays zero under both optimisers', async () => {
  const { gpu } = device;
  const arena = new Arena(gpu);
  const views = ['w', 'v', 'm', 's', 'x'].map((name) => arena.allocate(name, 256));
  const gradients = arena.allocate('g', 256);
  const recorder = new Recorder(gpu);
  const [parameters, velocity, firstMoment, secondMoment, secondMomentMax] = views;
  recordSgd(recorder, { count: 64, gradients, parameters, velocity, momentum: 0.9, weightDecay: 0.1 });
  const moments = { firstMoment, secondMoment, secondMomentMax };
  recordAdam(recorder, { count: 64, gradients, parameters, ...moments, betas: [0.9, 0.999], epsilon: 1e-8 });
  const program = await recorder.build('padding');
  for (let step = 1; step <= 3; step++) {
    writeAdamStep(program, 0.1, [0.9, 0.999], step);
    program.run();
  }
  for (const view of views) expect((await gpu.readWords(view)).every((word) => word === 0)).toBe(true);
  arena.destroy();
});

it.each([
  ['above the limit', 1],
  ['below it', 1e-3],
  ['of zero', 0],
])('a gradient with a norm %s is added clipped, over more vectors than partial sums', async (_, scale) => {
  const count = 9000;
  await checkKernel(device.gpu, (bench) => {
    const { recorder, arena } = bench;
    const [before, gradient] = [randomValues(count, 1), randomValues(count, 2, scale)];
    const sum = bench.buffer(before);
    const scratch = { partial: arena.allocate('partial', NORM_SCRATCH_BYTES), factor: arena.allocate('factor', 4) };
    recordAddClipped(recorder, { count, gradient: bench.buffer(gradient), limit: 2.5, sum, ...scratch });
    const clipped = clipGradient(gradient, 2.5);
    const expected = before.map((value, i) => value + clipped[i]);
    return [{ name: 'sum', view: sum, expected, tolerance: TOLERANCES.sgd }];
  });
});
