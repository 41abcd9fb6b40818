import { expect, it } from 'vitest';
import { DeviceLostError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { openNodeGpu } from '../../src/gpu/node.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { recordSgd, writeSgdStep } from '../../src/kernels/optimizer.ts';

// This test has its own file, because it loses the only device of the process.
it('a lost device never yields numbers: every call that would return numbers rejects with DeviceLostError', async () => {
  const gpu = await openNodeGpu({ adapter: 'software', profile: true });
  const arena = new Arena(gpu);
  const [gradients, parameters, velocity] = ['g', 'w', 'v'].map((name) => arena.allocate(name, 64));
  gpu.write(gradients, new Float32Array(16).fill(1));
  const recorder = new Recorder(gpu);
  recordSgd(recorder, { count: 16, gradients, parameters, velocity, momentum: 0, weightDecay: 0 });
  const program = await recorder.build('step');
  writeSgdStep(program, 1);
  program.run();
  expect((await gpu.readFloats(parameters))[0]).toBe(-1);
  program.run();

  gpu.device.destroy();
  // Called immediately, before the loss can have been announced, nothing may resolve.
  const lost = { name: 'DeviceLostError', exitCode: 3 };
  const outcomes = await Promise.allSettled([
    gpu.read(parameters),
    gpu.readFloats(parameters),
    gpu.readWords(parameters),
    gpu.idle(),
    gpu.guard(Promise.resolve('a stale number')),
    gpu.guard(new Promise((resolve) => setTimeout(resolve, 20, 'a later one'))),
    // A pipeline that is not in the cache has to be compiled by the device.
    gpu.pipelines.get({ path: 'loss/accumulate_metrics.wgsl', constants: { ROWS: 3 } }, ['read', 'write']),
  ]);
  for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: lost });

  // The loss is permanent.
  expect(() => program.run()).toThrow(DeviceLostError);
  expect(() => gpu.check()).toThrow(DeviceLostError);
  expect(() => gpu.submit(gpu.device.createCommandEncoder())).toThrow(/run again with --resume/);
  await expect(gpu.read(parameters)).rejects.toMatchObject(lost);
  await expect(gpu.idle()).rejects.toMatchObject(lost);
  await expect(gpu.guard(Promise.resolve(1))).rejects.toMatchObject(lost);
  await expect(gpu.profiler!.report()).rejects.toMatchObject(lost);
  await gpu.close();
});
