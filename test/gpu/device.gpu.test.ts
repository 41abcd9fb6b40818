import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { LimitError, MidasError, ShaderError, ShapeError } from '../../src/errors.ts';
import { Arena, firstRows } from '../../src/gpu/arena.ts';
import type { ShaderSource } from '../../src/gpu/composer.ts';
import { fileShaderSource, openNodeGpu } from '../../src/gpu/node.ts';
import { PipelineCache } from '../../src/gpu/pipelines.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { recordActivationBackward } from '../../src/kernels/activation.ts';
import { recordSgd, writeSgdStep } from '../../src/kernels/optimizer.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena | undefined;
const newArena = () => {
  arena = new Arena(device.gpu);
  return arena;
};
afterEach(() => arena?.destroy());

const MAIN = '@compute @workgroup_size(1)\nfn main() { c[0] = N; }';
const BUFFER = '@group(0) @binding(0) var<storage, read_write> c: array<u32>;';

function cacheOf(files: Record<string, string>) {
  const reads: string[] = [];
  const source: ShaderSource = {
    async read(path) {
      reads.push(path);
      return files[path];
    },
  };
  return { cache: new PipelineCache(device.gpu, source), reads };
}

describe('compilation of pipelines', () => {
  it('a compile error names the file and its line, not the line of the composed text', async () => {
    const { cache } = cacheOf({
      'op/main.wgsl': `// main\n#include "common/broken.wgsl"\n${BUFFER}\n${MAIN}`,
      'common/broken.wgsl': '// one\n// two\nfn broken() -> f32 { return 1u; }\n',
    });
    const compiled = cache.get({ path: 'op/main.wgsl', constants: { N: 1, M: 2 } }, ['write']);
    await expect(compiled).rejects.toThrow(ShaderError);
    await expect(compiled).rejects.toThrow(/^shaders\/common\/broken\.wgsl:3: .+/);
    // The device remains usable.
    await device.gpu.idle();
  });

  it('an error of the main file after an include counts its own lines', async () => {
    const { cache } = cacheOf({
      'main.wgsl': `${BUFFER}\n#include "x.wgsl"\n\n@compute @workgroup_size(1)\nfn main() { c[0] = missing; }`,
      'x.wgsl': 'const N = 1u;\nconst M = 2u;',
    });
    await expect(cache.get({ path: 'main.wgsl' }, ['write'])).rejects.toThrow(/^shaders\/main\.wgsl:5: .*missing/);
  });

  it('a shader that compiles but does not fit its bindings is refused with a ShaderError that names its file', async () => {
    const { cache } = cacheOf({ 'main.wgsl': `${BUFFER}\n${MAIN}` });
    const compiled = cache.get({ path: 'main.wgsl', constants: { N: 1 } }, ['uniform']);
    await expect(compiled).rejects.toThrow(ShaderError);
    await expect(compiled).rejects.toThrow(/^shaders\/main\.wgsl: \S/);
    await device.gpu.idle();
  });

  it('a pipeline is compiled once per text, whichever request it came from', async () => {
    const { cache, reads } = cacheOf({
      'a.wgsl': `${BUFFER}\n#include <body>`,
      'b.wgsl': `${BUFFER}\n#include "body.wgsl"`,
      'body.wgsl': MAIN,
    });
    const a = { path: 'a.wgsl', constants: { N: 7 }, includes: { body: 'body.wgsl' } };
    const [first, second] = await Promise.all([cache.get(a, ['write']), cache.get({ ...a }, ['write'])]);
    expect(second).toBe(first);
    expect(reads).toEqual(['a.wgsl', 'body.wgsl']);
    expect(await cache.get({ path: 'b.wgsl', constants: { N: 7 } }, ['write'])).toBe(first);
    expect(cache.size).toBe(1);
    expect(await cache.get({ path: 'b.wgsl', constants: { N: 8 } }, ['write'])).not.toBe(first);
    expect(cache.size).toBe(2);
  });
});

describe('buffers on the device', () => {
  it('several views are read back in one submit, each with its own bytes', async () => {
    const { gpu } = device;
    const [a, b] = [newArena().allocate('a', 64), arena!.allocate('b', 32)];
    const words = Uint32Array.from({ length: 16 }, (_, i) => 0x7fa00000 + i); // signalling NaNs as floats
    gpu.write(a, words);
    gpu.write(b, Uint32Array.of(1, 2, 3));
    gpu.write(b, Uint32Array.of(9), 4);
    const before = gpu.submissions;
    const [part, whole, all] = await gpu.read({ ...a, offset: 8, size: 12 }, b, a);
    expect(gpu.submissions).toBe(before + 1);
    expect(new Uint32Array(part)).toEqual(words.subarray(2, 5));
    expect(new Uint32Array(whole)).toEqual(Uint32Array.of(1, 9, 3, 0, 0, 0, 0, 0));
    expect(new Uint32Array(all)).toEqual(words);
    expect(await gpu.readWords(a)).toEqual(words);
    expect((await gpu.readFloats({ ...b, size: 4 }))[0]).toBe(2 ** -149);
  });

  it('new buffers are zero and sizes are rounded up to 16 bytes', async () => {
    const view = newArena().allocate('odd', 17);
    expect(view.size).toBe(32);
    expect(await device.gpu.readWords(view)).toEqual(new Uint32Array(8));
    expect(String(arena)).toBe('arena 0.0 MB, 1 buffers');
  });

  it('a write through a view changes only the bytes of the view', async () => {
    const whole = newArena().allocate('whole', 48);
    device.gpu.write({ ...whole, offset: 16, size: 16 }, Uint32Array.of(1, 2, 3, 4));
    expect(await device.gpu.readWords(whole)).toEqual(Uint32Array.of(0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0));
  });

  it('a scratch buffer is shared by name and grows', () => {
    const plan = newArena();
    const small = plan.scratch('partial sums', 64);
    expect(plan.scratch('partial sums', 32).buffer).toBe(small.buffer);
    const large = plan.scratch('partial sums', 128);
    expect(large.size).toBe(128);
    expect(plan.scratch('partial sums', 64).buffer).toBe(large.buffer);
    expect(plan.scratch('other', 64).buffer).not.toBe(large.buffer);
  });

  it('a matrix pads its rows to 16 values, and its first rows share its buffer', () => {
    const matrix = newArena().matrix('m', 5, 17);
    expect(matrix).toMatchObject({ rows: 5, columns: 17, stride: 32, size: 640 });
    expect(firstRows(matrix, 2)).toMatchObject({ buffer: matrix.buffer, rows: 2, stride: 32, size: 256 });
  });

  it('a buffer beyond the adapter is refused with both sizes', () => {
    const { gpu } = device;
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
    const largest = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    const wanted = (Math.floor(largest / 16) + 1) * 16;
    expect(() => gpu.createBuffer('weights of fc1', wanted)).toThrow(LimitError);
    expect(() => gpu.createBuffer('weights of fc1', wanted)).toThrow(
      `weights of fc1 needs a storage buffer of ${wanted} bytes, this adapter has ${largest}`,
    );
    // A row of zeros is added to the 2^20 rows.
    expect(() => newArena().matrix('activations', 2 ** 20, 2 ** 20)).toThrow(
      /activations needs .* 4398050705408 bytes/,
    );
  });

  it('a plan that needs more than the adapter has is refused with both numbers before a device is opened', async () => {
    const opened = openNodeGpu({ adapter: 'software', neededLimits: { maxStorageBuffersPerShaderStage: 1000 } });
    await expect(opened).rejects.toThrow(LimitError);
    await expect(opened).rejects.toThrow(/^maxStorageBuffersPerShaderStage: 1000 are needed, this adapter has \d+$/);
  });
});

it('awaiting the device leaves nothing behind on the heap', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const awaitOften = async () => {
    for (let i = 0; i < 3000; i++) await device.gpu.guard(Promise.resolve(i));
    for (let i = 0; i < 3; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return process.memoryUsage().heapUsed;
  };
  await awaitOften();
  const before = await awaitOften();
  // A reaction to the promise of the device's loss, retained for every await, would take about 330 bytes.
  expect((await awaitOften()) - before).toBeLessThan(3000 * 100);
});

describe('recorded programs of dispatches', () => {
  it('many dispatches are submitted together and read the step uniform as it was at the time of their run', async () => {
    const { gpu } = device;
    const plan = newArena();
    const [gradients, parameters, velocity] = ['g', 'w', 'v'].map((name) => plan.allocate(name, 16));
    gpu.write(gradients, Float32Array.of(1, 2, 3, 4));
    const recorder = new Recorder(gpu);
    for (let i = 0; i < 10; i++) {
      recordSgd(recorder, { count: 4, gradients, parameters, velocity, momentum: 0, weightDecay: 0 });
    }
    const program = await recorder.build('ten steps');
    const before = gpu.submissions;
    writeSgdStep(program, 1);
    program.run();
    expect(gpu.submissions).toBe(before + 1);
    // The uniform of the next run must not change the first run.
    writeSgdStep(program, 100);
    program.run();
    expect(gpu.submissions).toBe(before + 2);
    expect(await gpu.readFloats(parameters)).toEqual(Float32Array.of(-1010, -2020, -3030, -4040));
  });

  it('an empty program runs without an error', async () => {
    const program = await new Recorder(device.gpu).build('nothing');
    expect(program.length).toBe(0);
    program.run();
    await device.gpu.idle();
  });

  it('a program whose kernel does not fit its tensors is refused while it is recorded', () => {
    const recorder = new Recorder(device.gpu);
    const plan = newArena();
    const [output, gradOutput, gradInput] = [plan.matrix('y', 2, 3), plan.matrix('dy', 2, 4), plan.matrix('dx', 2, 3)];
    const args = { activation: 'relu', output, gradOutput, gradInput } as const;
    expect(() => recordActivationBackward(recorder, args)).toThrow(ShapeError);
  });

  it('the shaders of the project are read from its own folder', async () => {
    expect(await fileShaderSource.read('common/hash.wgsl')).toMatch(/^\/\/ pcg4d/);
    await expect(fileShaderSource.read('common/gone.wgsl')).rejects.toThrow(/ENOENT/);
  });
});

// Last, because a device that has reported an error stays unusable.
it('a failed pass inside an error scope of the caller stops the run and every later one', async () => {
  const { gpu } = device;
  const [view, other] = [newArena().allocate('small', 16), arena!.allocate('other', 16)];
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(other.buffer, 0, view.buffer, 4096, 64);
  gpu.device.pushErrorScope('validation');
  gpu.submit(encoder);
  await expect(gpu.readFloats(view)).rejects.toThrow(MidasError);
  await expect(gpu.readWords(view)).rejects.toThrow(MidasError);
  // The scope is still the caller's, and empty.
  expect(await gpu.device.popErrorScope()).toBeNull();
  await expect(gpu.readWords(view)).rejects.toThrow(/^the GPU reported: \S/);
  await expect(gpu.idle()).rejects.toThrow(/the GPU reported/);
  expect(() => gpu.check()).toThrow(/the GPU reported/);
});
