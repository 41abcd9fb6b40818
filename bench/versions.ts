/**
 * `tsx bench/versions.ts BEFORE [AFTER [CASES]]`: compares the speed of the published networks in two versions of the source, each the
 * root of a clone with its packages; AFTER is this clone by default, CASES a part of the names of cases. Both run in processes of their own and take turns, and the
 * ratio BEFORE / AFTER is computed within one round: above 1, AFTER is faster.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from '../src/cli/doctor.ts';
import { CLOCKS } from './timing.ts';

const ROUNDS = 9;
/** Milliseconds of processor time that one measurement takes at least. */
const LEAST = 400;

/** One run of a case, to its end on the device. */
type Run = () => Promise<unknown>;

/** The cases of one version. Its modules are those of the folder `root`; they have the same interfaces in both. */
async function casesOf(root: string): Promise<{ readonly cases: Record<string, Run>; close(): Promise<void> }> {
  const load = <T>(path: string) => import(join(root, path)) as Promise<T>;
  const { openNodeGpu } = await load<typeof import('../src/gpu/node.ts')>('src/gpu/node.ts');
  const { Arena } = await load<typeof import('../src/gpu/arena.ts')>('src/gpu/arena.ts');
  const { Evaluator } = await load<typeof import('../src/models/evaluate.ts')>('src/models/evaluate.ts');
  const { stackVictim } = await load<typeof import('../src/models/victims.ts')>('src/models/victims.ts');
  // Before networks were graphs, the weights of a stack of layers were in another file.
  const { plainWeights } = await load<typeof import('../src/layers/weights.ts')>('src/layers/weights.ts').catch(() =>
    load<typeof import('../src/layers/weights.ts')>('src/layers/stack.ts'),
  );
  const { uploadDataset } =
    await load<typeof import('../src/models/device_dataset.ts')>('src/models/device_dataset.ts');
  const { deepTrainer, PEOPLE } = await load<typeof import('./deep.ts')>('bench/deep.ts');
  const { deepNetworks } = await load<typeof import('./deep_networks.ts')>('bench/deep_networks.ts');
  const { oneBatch } = await load<typeof import('./inputs.ts')>('bench/inputs.ts');
  const { modelSpec } = await load<typeof import('../src/models/specs.ts')>('src/models/specs.ts');
  const gpu = await openNodeGpu({ adapter: 'software' });
  const cases: Record<string, Run> = {};
  const { victim, inversion } = deepNetworks('tiny', PEOPLE);
  const networks = {
    classifier: victim.spec,
    'inversion network': inversion.spec,
    mlp: modelSpec('mlp', 1024, PEOPLE),
  };
  for (const [name, spec] of Object.entries(networks)) {
    const arena = new Arena(gpu);
    const trainer = await deepTrainer(arena, spec);
    cases[`${name}, training step`] = () => trainer.trainEpoch();
    if (name === 'inversion network') continue;
    const dataset = await oneBatch({ width: 32, height: 32 }, 32, PEOPLE);
    const images = Uint32Array.from(dataset.labels.keys());
    const answering = stackVictim(spec.layers, plainWeights(trainer.parameters));
    const evaluator = await Evaluator.build(gpu, answering, uploadDataset(arena, dataset), images);
    cases[`${name}, inference`] = () => evaluator.run();
  }
  return { cases, close: () => gpu.close() };
}

/** In a child: answers the name of a case with the milliseconds of processor time of one run, and nothing with its end. */
async function answer(root: string): Promise<void> {
  const { cases, close } = await casesOf(root);
  process.on('message', async (name: string) => {
    if (name === '') {
      await close();
      process.disconnect();
      return;
    }
    const start = CLOCKS.cpu();
    let runs = 0;
    while (CLOCKS.cpu() - start < LEAST) {
      await cases[name]();
      runs++;
    }
    process.send!((CLOCKS.cpu() - start) / runs);
  });
  process.send!(Object.keys(cases));
}

const received = <T>(child: ChildProcess) =>
  new Promise<T>((done, failed) => {
    const ended = (code: number) => failed(new Error(`a version ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      done(message as T);
    });
  });

async function compare(before: string, after: string, part: string): Promise<void> {
  const versions = [before, after].map((root) => fork(fileURLToPath(import.meta.url), ['--version', resolve(root)]));
  const [names] = await Promise.all(versions.map((version) => received<string[]>(version)));
  console.log(`${cpus()[0].model}, ${cpus().length} cores; ${ROUNDS} rounds, processor time, before / after`);
  for (const name of names.filter((each) => each.includes(part))) {
    const ratios: number[] = [];
    const times: number[][] = [];
    // The first round compiles what is still missing. The versions change places from round to round.
    for (let round = 0; round <= ROUNDS; round++) {
      const pair = [0, 0];
      for (const which of round % 2 === 0 ? [0, 1] : [1, 0]) {
        versions[which].send(name);
        pair[which] = await received<number>(versions[which]);
      }
      if (round === 0) continue;
      ratios.push(pair[0] / pair[1]);
      times.push(pair);
    }
    const [b, a] = [0, 1].map((which) => median(times.map((pair) => pair[which])).toFixed(2));
    const range = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(2)).join('..');
    console.log(`${name}: ${median(ratios).toFixed(3)} (${range}), ${b} -> ${a} ms`);
  }
  for (const version of versions) version.send('');
}

const [first, second, part = ''] = process.argv.slice(2);
if (first === '--version') await answer(second);
else if (first === undefined) throw new Error('give the folder of the version before');
else await compare(first, second ?? fileURLToPath(new URL('..', import.meta.url)), part);
