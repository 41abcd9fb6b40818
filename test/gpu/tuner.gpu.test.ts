import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ShaderError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import type { Dispatch } from '../../src/gpu/dispatch.ts';
import { fileTuningStore } from '../../src/gpu/node.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { choiceKey, Tuner, type TuningChoices, type TuningStore } from '../../src/gpu/tuner.ts';
import { recordConv2d } from '../../src/kernels/conv.ts';
import { recordGemm } from '../../src/kernels/gemm.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena;
let folder: string;
beforeEach(() => {
  arena = new Arena(device.gpu);
  folder = mkdtempSync(join(tmpdir(), 'midas-tuning-'));
});
afterEach(() => {
  arena.destroy();
  rmSync(folder, { recursive: true, force: true });
});

/** A recorder that collects its dispatches. */
class Kept extends Recorder {
  readonly dispatches: Dispatch[] = [];
  override record(dispatch: Dispatch): void {
    this.dispatches.push(dispatch);
  }
}

function products(): Dispatch[] {
  const recorder = new Kept(device.gpu);
  const matrix = (rows: number, columns: number) => arena.matrix('m', rows, columns);
  recordGemm(recorder, arena, {
    label: 'slim',
    transposition: 'nt',
    a: matrix(40, 64),
    b: matrix(8, 64),
    c: matrix(40, 8),
  });
  recordConv2d(recorder, {
    label: 'conv',
    pass: 'forward',
    shape: { batch: 2, height: 8, width: 8, inChannels: 4, outChannels: 8, kernelSize: 3, stride: 1, padding: 1 },
    x: arena.image('x', 2, 8, 8, 4),
    weights: { kind: 'plain', weight: matrix(8, 36) },
    y: arena.image('y', 2, 8, 8, 8),
  });
  return recorder.dispatches;
}

function memoryStore(choices: TuningChoices = {}): TuningStore & { choices: TuningChoices; saves: number } {
  return {
    choices,
    saves: 0,
    async load() {
      return this.choices;
    },
    async save(_, chosen) {
      this.choices = chosen;
      this.saves++;
    },
  };
}

/** A dispatch with three variants: the second writes nothing, in no time, and the third writes the same as the first. */
function disagreeing(): Dispatch {
  const rows = 4096;
  const variant = (name: string, workgroups: number) => ({
    name,
    shader: {
      path: 'probe/copy.wgsl',
      constants: { VECTORS: rows * 4, WORKGROUP_SIZE: 64, GRID_WIDTH: rows * 4 },
    },
    workgroups: [workgroups, 1, 1] as const,
  });
  const variants = [variant('default', rows / 16), variant('wrong', 0), variant('right', rows / 16)];
  const [x, y] = [arena.matrix('x', rows, 16), arena.matrix('y', rows, 16)];
  return {
    label: 'disagreeing',
    shader: variants[0].shader,
    workgroups: variants[0].workgroups,
    bindings: [
      ['read', x],
      ['write', y],
    ],
    tuning: { key: 'disagreeing', variants },
  };
}

it('every product is tuned once, and a second process uses the choices without measuring', async () => {
  const store = memoryStore();
  const dispatches = products();
  await new Tuner(device.gpu, device.gpu.pipelines, store).choose(dispatches);
  const keys = dispatches.flatMap(({ tuning }) => (tuning ? [choiceKey(tuning)] : []));
  expect(Object.keys(store.choices).sort()).toEqual([...new Set(keys)].sort());
  const submissions = device.gpu.submissions;
  const second = new Tuner(device.gpu, device.gpu.pipelines, store);
  const chosen = await second.choose(dispatches);
  expect(device.gpu.submissions).toBe(submissions);
  expect(store.saves).toBe(1);
  for (const [i, { tuning }] of dispatches.entries()) {
    const wanted = tuning?.variants.find(({ name }) => name === store.choices[choiceKey(tuning)]);
    expect(chosen[i].shader).toEqual(wanted?.shader ?? dispatches[i].shader);
    expect(chosen[i].workgroups).toEqual(wanted?.workgroups ?? dispatches[i].workgroups);
  }
});

it('a stored choice is used, and one that no longer exists is replaced by the default', async () => {
  const [gemm, conv] = products();
  const last = gemm.tuning!.variants.at(-1)!;
  const store = memoryStore({ [choiceKey(gemm.tuning!)]: last.name, [choiceKey(conv.tuning!)]: 'of another version' });
  const [first, second] = await new Tuner(device.gpu, device.gpu.pipelines, store).choose([gemm, conv]);
  expect(first.shader).toEqual(last.shader);
  expect(second.shader).toEqual(conv.shader);
});

it('a choice is measured again when the set of variants has changed', async () => {
  const [gemm] = products();
  const { key, variants } = gemm.tuning!;
  const store = memoryStore({ [choiceKey({ key, variants: variants.slice(0, -1) })]: variants[0].name });
  await new Tuner(device.gpu, device.gpu.pipelines, store).choose([gemm]);
  expect(Object.keys(store.choices)).toContain(choiceKey(gemm.tuning!));
});

it('a variant that writes different bits than the default is never chosen', async () => {
  const store = memoryStore();
  await new Tuner(device.gpu, device.gpu.pipelines, store).choose([disagreeing()]);
  expect(Object.values(store.choices)).toHaveLength(1);
  expect(Object.values(store.choices)[0]).toMatch(/default|right/);
});

/** The same with a second variant whose constants do not compile. */
function uncompilable(): Dispatch {
  const dispatch = disagreeing();
  const [first, wrong, third] = dispatch.tuning!.variants;
  const shader = { ...wrong.shader, constants: { ...wrong.shader.constants, WORKGROUP_SIZE: 0 } };
  return { ...dispatch, tuning: { key: 'uncompilable', variants: [first, { ...wrong, shader }, third] } };
}

it('a variant that does not compile only loses its candidacy', async () => {
  const store = memoryStore();
  const [chosen] = await new Tuner(device.gpu, device.gpu.pipelines, store).choose([uncompilable()]);
  expect(Object.values(store.choices)[0]).toMatch(/default|right/);
  expect(chosen.shader.constants).toMatchObject({ WORKGROUP_SIZE: 64 });
  await device.gpu.idle();
});

it('a stored choice that does not compile on this adapter is replaced by the default', async () => {
  const dispatch = uncompilable();
  const store = memoryStore({ [choiceKey(dispatch.tuning!)]: 'wrong' });
  const [chosen] = await new Tuner(device.gpu, device.gpu.pipelines, store).choose([dispatch]);
  expect(chosen.shader).toEqual(dispatch.shader);
  await device.gpu.idle();
});

it('a default that does not compile is refused with a ShaderError', async () => {
  const dispatch = uncompilable();
  const [first, wrong] = dispatch.tuning!.variants;
  const broken = { ...dispatch, shader: wrong.shader, tuning: { key: 'broken', variants: [wrong, first] } };
  const chosen = new Tuner(device.gpu, device.gpu.pipelines, memoryStore()).choose([broken]);
  await expect(chosen).rejects.toThrow(ShaderError);
  await device.gpu.idle();
});

it('without time to measure every product keeps its default, and the buffers of the program are not touched', async () => {
  const store = memoryStore();
  const dispatches = products();
  const output = dispatches[0].bindings.find(([access]) => access === 'write')![1];
  const before = Uint32Array.from({ length: output.size / 4 }, (_, i) => i);
  device.gpu.write(output, before);
  await new Tuner(device.gpu, device.gpu.pipelines, store, -1).choose(dispatches);
  for (const { tuning } of dispatches)
    if (tuning) expect(store.choices[choiceKey(tuning)]).toBe(tuning.variants[0].name);
  await new Tuner(device.gpu, device.gpu.pipelines, memoryStore()).choose(dispatches);
  expect(await device.gpu.readWords(output)).toEqual(before);
});

it('choices are kept in a file, and a broken file is ignored', async () => {
  const store = fileTuningStore([join(folder, 'cache')]);
  expect(await store.load('adapter')).toEqual({});
  await store.save('adapter', { 'gemm_nt 8x8x8': '8x8' });
  expect(await store.load('adapter')).toEqual({ 'gemm_nt 8x8x8': '8x8' });
  const [file] = readdirSync(join(folder, 'cache'));
  writeFileSync(join(folder, 'cache', file), '{"gemm_nt');
  expect(await store.load('adapter')).toEqual({});
  // If the folder cannot be created, only time is lost.
  writeFileSync(join(folder, 'file'), '');
  await fileTuningStore([join(folder, 'file', 'cache')]).save('adapter', {});
});

it('choices of one processor are not those of another', async () => {
  const folders = [join(folder, 'shared')];
  await fileTuningStore(folders, 'one').save('adapter', { 'gemm 512': 'quad_16x32' });
  expect(await fileTuningStore(folders, 'one').load('adapter')).toEqual({ 'gemm 512': 'quad_16x32' });
  expect(await fileTuningStore(folders, 'other').load('adapter')).toEqual({});
});
