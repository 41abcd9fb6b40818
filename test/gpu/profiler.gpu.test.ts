import { afterEach, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import type { Gpu } from '../../src/gpu/device.ts';
import { openNodeGpu } from '../../src/gpu/node.ts';
import { Profiler } from '../../src/gpu/profiler.ts';
import { type Program, Recorder } from '../../src/gpu/recorder.ts';
import { recordActivationBackward } from '../../src/kernels/activation.ts';
import { recordSgd, writeSgdStep } from '../../src/kernels/optimizer.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { Trainer } from '../../src/models/trainer.ts';
import { randomValues, writeMatrix } from '../support/gpu.ts';
import { SGD, TOY, toyDataset } from '../support/toy.ts';

// Every test opens its devices itself, with or without a profiler; only one is open at a time.
let gpu: Gpu;
const open = async (profile: boolean) => {
  gpu = await openNodeGpu({ adapter: 'software', profile });
  return gpu;
};
afterEach(() => gpu.close());

/** Two derivatives of one label and a step of SGD, on tensors large enough to take longer than a tick of any clock. */
async function threeKernels(arena: Arena): Promise<Program> {
  const [input, output] = [arena.matrix('x', 512, 512), arena.matrix('y', 512, 512)];
  writeMatrix(arena.gpu, input, randomValues(512 * 512, 1));
  const recorder = new Recorder(arena.gpu);
  const derivative = { activation: 'tanh', output: input, gradOutput: input } as const;
  recordActivationBackward(recorder, { ...derivative, gradInput: output });
  recordActivationBackward(recorder, { ...derivative, gradInput: output });
  const [gradients, parameters, velocity] = ['g', 'w', 'v'].map((name) => arena.allocate(name, 2 ** 20));
  recordSgd(recorder, { count: 2 ** 18, gradients, parameters, velocity, momentum: 0.9, weightDecay: 0 });
  const program = await recorder.build('three kernels');
  writeSgdStep(program, 0.1);
  return program;
}

/** Counts the passes of every encoder created from now on: an ordinary run has one, a timed run has one per dispatch. */
function countPasses({ device }: Gpu): number[] {
  const counts: number[] = [];
  const create = device.createCommandEncoder.bind(device);
  device.createCommandEncoder = (descriptor) => {
    const encoder = create(descriptor);
    const begin = encoder.beginComputePass.bind(encoder);
    const at = counts.push(0) - 1;
    encoder.beginComputePass = (pass) => {
      counts[at]++;
      return begin(pass);
    };
    return encoder;
  };
  return counts;
}

/** Waits until the pending timing has been read: the device is idle and the promises that depend on it have settled. */
async function settled(): Promise<void> {
  await gpu.profiler!.report();
}

describe('a profiled run', () => {
  it('a profile lists the kernels of every phase with calls, time and speed, the slowest first', async () => {
    const { profiler } = await open(true);
    const arena = new Arena(gpu);
    const program = await threeKernels(arena);
    profiler!.enter('train');
    for (let i = 0; i < 5; i++) {
      program.run();
      await gpu.idle();
    }
    profiler!.enter('attack');
    program.run();
    profiler!.enter('train');
    program.run();
    const phases = await profiler!.report();
    arena.destroy();
    expect(phases.map(({ phase, runs }) => [phase, runs])).toEqual([
      ['prepare', 0],
      ['train', 6],
      ['attack', 1],
    ]);
    const [, train, attack] = phases;
    expect(new Map(train.kernels.map(({ shader, label, calls }) => [shader, { label, calls }]))).toEqual(
      new Map([
        ['activation/activation_backward', { label: 'activation_backward tanh', calls: 12 }],
        ['optimizer/sgd', { label: 'sgd', calls: 6 }],
      ]),
    );
    for (const { seconds, host, kernels } of [train, attack]) {
      expect(seconds).toBeGreaterThan(0);
      const times = kernels.map(({ milliseconds }) => milliseconds!);
      expect(times).toEqual([...times].sort((a, b) => b - a));
      for (const { milliseconds, gflops, share } of kernels) {
        expect(milliseconds).toBeGreaterThan(0);
        expect(milliseconds).toBeLessThan(10_000);
        expect(gflops).toBeGreaterThan(0);
        expect(share).toBeCloseTo(milliseconds! / 1e3 / seconds, 9);
      }
      if (host) expect(host.share).toBeLessThan(1);
    }
    // Both phases use the same mean time per call, for 6 calls and for 1.
    const sgd = (kernels: typeof train.kernels) => kernels.find(({ label }) => label === 'sgd')!;
    expect(sgd(train.kernels).milliseconds).toBeCloseTo(6 * sgd(attack.kernels).milliseconds!, 9);
    expect(sgd(train.kernels).gflops).toBeCloseTo(sgd(attack.kernels).gflops!, 9);
  });

  it('the profiler times few runs and never waits for a timing: while one is under way, runs are encoded as usual', async () => {
    await open(true);
    const arena = new Arena(gpu);
    const program = await threeKernels(arena);
    const passes = countPasses(gpu);
    for (let i = 0; i < 4; i++) program.run();
    expect(passes).toEqual([3, 1, 1, 1]);
    for (let i = 4; i < 6; i++) {
      await settled();
      program.run();
    }
    expect(passes).toEqual([3, 1, 1, 1, 3, 3]);
    for (let i = 6; i < 33; i++) {
      await settled();
      program.run();
    }
    arena.destroy();
    expect(passes.flatMap((count, run) => (count === 3 ? [run] : []))).toEqual([0, 4, 5, 16, 32]);
    expect(gpu.submissions).toBe(33);
    // The time of the JavaScript thread is that of ordinary runs only.
    const [{ host, runs }] = await gpu.profiler!.report();
    expect(runs).toBe(33);
    expect(host!.milliseconds).toBeGreaterThan(0);
    expect(host!.milliseconds).toBeLessThan(100);
  });

  it('a profiled run gives the same bits as one without profiling', async () => {
    const dataset = await toyDataset();
    const spec = modelSpec('mlp', TOY.pixels, TOY.classes, [16]);
    const indices = Uint32Array.from(dataset.labels.keys());
    const trained = async (profile: boolean) => {
      await open(profile);
      const arena = new Arena(gpu);
      const data = uploadDataset(arena, dataset);
      const trainer = await Trainer.create(arena, spec, data, indices, { ...SGD, epochs: 6 });
      const losses: number[] = [];
      while (trainer.epoch < trainer.epochs) losses.push((await trainer.trainEpoch()).loss);
      const state = await trainer.state();
      const phases = await gpu.profiler?.report();
      trainer.finish();
      arena.destroy();
      return { losses, state, phases };
    };
    const without = await trained(false);
    expect(without.phases).toBeUndefined();
    await gpu.close();
    const { losses, state, phases } = await trained(true);
    expect(losses).toEqual(without.losses);
    expect(state).toEqual(without.state);
    // The kernels were really timed.
    expect(phases![0].kernels.length).toBeGreaterThan(5);
    for (const { milliseconds } of phases![0].kernels) expect(milliseconds).not.toBeNull();
  });

  it('a profiled run of a program without dispatches is not an error', async () => {
    await open(true);
    const program = await new Recorder(gpu).build('nothing');
    program.run();
    expect(await gpu.profiler!.report()).toMatchObject([{ phase: 'prepare', runs: 1, kernels: [] }]);
  });
});

it('an adapter without timestamps still counts calls and the time of the host', async () => {
  await open(false);
  // The only members of a device that a profiler uses before it times anything.
  const without = { device: { features: new Set() }, guard: (promise: Promise<unknown>) => promise };
  const profiler = new Profiler(without as unknown as Gpu);
  const dispatch = {
    label: 'sgd',
    shader: { path: 'optimizer/sgd.wgsl' },
    bindings: [],
    workgroups: [1, 1, 1],
  } as const;
  const program = profiler.watch('two steps', [dispatch, dispatch]);
  for (const host of [0.25, 0.75]) {
    expect(program.wantsTiming()).toBe(false);
    program.ran(false, 100, 100 + host);
  }
  const [{ kernels, host, runs }] = await profiler.report();
  expect(runs).toBe(2);
  expect(host!.milliseconds).toBe(0.5);
  expect(kernels).toEqual([
    { shader: 'optimizer/sgd', label: 'sgd', calls: 4, milliseconds: null, gflops: null, share: null },
  ]);
});
