/** Measures the cost of training outside the GPU: JavaScript time per step, growth of the heap, and compiling. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from '../src/cli/doctor.ts';
import { Arena } from '../src/gpu/arena.ts';
import { type Gpu, openGpu } from '../src/gpu/device.ts';
import { findNodeEntry } from '../src/gpu/node/software.ts';
import { fileShaderSource, openNodeGpu, rest } from '../src/gpu/node.ts';
import { Program } from '../src/gpu/recorder.ts';
import type { TuningChoices, TuningStore } from '../src/gpu/tuner.ts';
import type { ModelSpec } from '../src/models/model_spec.ts';
import type { Trainer } from '../src/models/trainer.ts';
import { deepTrainer, PEOPLE } from './deep.ts';
import { deepNetworks } from './deep_networks.ts';
import { atMost, makeRow, type Row } from './rows.ts';
import { shallowTrainer } from './shallow.ts';
import type { Timing } from './timing.ts';

/** Steps that a median is taken over; fewer for the shallow model, whose steps take half a second on a software adapter. */
const STEPS = 200;
const SHALLOW_STEPS = 50;
const ROUNDS = 3;
/**
 * Largest growth of the heap in kB over 1000 steps: 64 bytes per step, less than one leaked promise or wrapper of a device
 * object (a promise leaked in a race took 330). It is not 0, because V8 keeps compiling functions that run often.
 */
const GROWTH = 64;

/** Measures on newly opened devices, because a device of another group has already compiled some of the pipelines. */
export async function benchHost(adapter: string, { clock }: Timing): Promise<Row[]> {
  const networks = deepNetworks('tiny', PEOPLE);
  const victim = networks.victim.spec;
  const cold: number[] = [];
  const warm: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const gpu = await openNodeGpu({ adapter });
    for (const times of [cold, warm]) {
      const arena = new Arena(gpu);
      const before = clock();
      const trainer = await deepTrainer(arena, victim);
      await trainer.trainEpoch();
      times.push((clock() - before) / 1e3);
      trainer.finish();
      arena.destroy();
    }
    await gpu.close();
  }
  const tuned = await tunedTwice(adapter, clock, victim);
  const gpu = await openNodeGpu({ adapter });
  try {
    const step = (create: (arena: Arena) => Promise<Trainer>, steps = STEPS) => hostTimes(gpu, create, steps);
    return [
      makeRow('pipelines of the tiny victim, cold', cold, 's', atMost(3)),
      makeRow('pipelines of the tiny victim, warm', warm, 's'),
      makeRow('pipelines of the tiny victim, cold, and variants measured', [tuned.seconds[0]], 's'),
      makeRow('pipelines of the tiny victim, cold, choices stored', [tuned.seconds[1]], 's', atMost(3)),
      makeRow('choices that a second run makes anew', [tuned.anew], 'choices', atMost(0)),
      makeRow('host time per step, tiny victim', await step((arena) => deepTrainer(arena, victim)), 'ms', atMost(0.3)),
      makeRow(
        'host time per step, tiny inversion network',
        await step((arena) => deepTrainer(arena, networks.inversion.spec)),
        'ms',
      ),
      makeRow('host time per step, 10304-1000-40', await step(shallowTrainer, SHALLOW_STEPS), 'ms'),
      makeRow(
        'heap growth over 1000 steps',
        await heapGrowth(gpu, (arena) => deepTrainer(arena, victim, 2)),
        'kB',
        atMost(GROWTH),
      ),
    ];
  } finally {
    await gpu.close();
  }
}

/** Two runs, the second with the tuning choices of the first. @returns times, and the number of choices the second added */
async function tunedTwice(
  adapter: string,
  clock: Clock,
  spec: ModelSpec,
): Promise<{ seconds: number[]; anew: number }> {
  let stored: TuningChoices = {};
  let anew = 0;
  const tuning: TuningStore = {
    async load() {
      return stored;
    },
    async save(_, choices) {
      anew += Object.keys(choices).length - Object.keys(stored).length;
      stored = choices;
    },
  };
  const seconds: number[] = [];
  for (let run = 0; run < 2; run++) {
    anew = 0;
    const gpu = await openGpu(await findNodeEntry(adapter), { shaders: fileShaderSource, rest, tuning });
    const arena = new Arena(gpu);
    const before = clock();
    const trainer = await deepTrainer(arena, spec);
    await trainer.trainEpoch();
    seconds.push((clock() - before) / 1e3);
    trainer.finish();
    arena.destroy();
    await gpu.close();
  }
  return { seconds, anew };
}

/** Milliseconds that the JavaScript thread spends in each training step while the device is idle. */
async function hostTimes(gpu: Gpu, create: (arena: Arena) => Promise<Trainer>, steps: number): Promise<number[]> {
  const arena = new Arena(gpu);
  const trainer = await create(arena);
  const step = await stepOf(trainer);
  const times: number[] = [];
  for (let i = 0; i < steps; i++) {
    await gpu.idle();
    const before = performance.now();
    step.setStep({ iteration: i + 1 });
    step.run();
    times.push(performance.now() - before);
  }
  await gpu.idle();
  trainer.finish();
  arena.destroy();
  return times;
}

/** The program of a trainer whose epochs are one step. */
async function stepOf(trainer: Trainer): Promise<Program> {
  const { run } = Program.prototype;
  let step: Program | undefined;
  await trainer.trainEpoch();
  Program.prototype.run = function (this: Program) {
    step = this;
    run.call(this);
  };
  try {
    await trainer.trainEpoch();
  } finally {
    Program.prototype.run = run;
  }
  return step!;
}

/**
 * Growth of the heap in kB over 1000 epochs of one step, with garbage collected before and after; one value per round. The
 * trainer may have few images: what a step leaks on the host does not depend on their number.
 */
async function heapGrowth(gpu: Gpu, create: (arena: Arena) => Promise<Trainer>): Promise<number[]> {
  setFlagsFromString('--expose-gc');
  // Explicit collection ages functions; V8 would drop their bytecode and make it again, a noise of some hundred kB.
  setFlagsFromString('--no-flush-bytecode');
  const collect = runInNewContext('gc') as () => void;
  const used = async () => {
    // Wrappers of device objects are released some turns of the event loop after they were collected.
    for (let i = 0; i < 4; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    collect();
    return process.memoryUsage().heapUsed / 1024;
  };
  const arena = new Arena(gpu);
  const trainer = await create(arena);
  const train = async (steps: number) => {
    for (let i = 0; i < steps; i++) await trainer.trainEpoch();
  };
  await train(1000);
  const growth: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = await used();
    await train(1000);
    growth.push((await used()) - before);
  }
  trainer.finish();
  arena.destroy();
  return growth;
}
