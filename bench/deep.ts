/** Times training steps of the preset `tiny`'s deep networks. */
import { inversionTraining } from '../src/attacks/inversion_networks.ts';
import { planExperiment } from '../src/experiments/plan.ts';
import { Arena } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { uploadDataset } from '../src/models/device_dataset.ts';
import type { ModelSpec } from '../src/models/model_spec.ts';
import { Trainer } from '../src/models/trainer.ts';
import { deepNetworks } from './deep_networks.ts';
import { oneBatch } from './inputs.ts';
import { atMost, makeRow, type Row } from './rows.ts';
import { interleave, type Timing } from './timing.ts';

const BATCH = 32;
/** Number of classes of the networks. */
export const PEOPLE = 30;

/** Measures AMSGrad steps of the `tiny` preset's networks, their submits, and their memory against the plan. */
export async function benchDeep(gpu: Gpu, timing: Timing): Promise<Row[]> {
  const { config } = deepNetworks('tiny', PEOPLE);
  const faces = { classes: PEOPLE, width: 32, height: 32, trained: BATCH, publicFaces: BATCH };
  const plan = planExperiment(config, faces, gpu.device.limits);
  const rows: Row[] = [];
  for (const network of plan) {
    const name = network.name === 'victim' ? 'tiny victim' : 'tiny inversion network';
    const { created, result } = await countBuffers(gpu, () => benchSteps(gpu, timing, name, network.spec));
    const planned = network.trainingBytes + network.dataBytes;
    const off = [(100 * Math.abs(created - planned)) / planned];
    rows.push(...result, makeRow(`GPU memory of training, ${name}, deviation from its plan`, off, '%', atMost(5)));
  }
  return rows;
}

/** Counts the bytes of all buffers that `run` creates, except read-back buffers, which exist only during a read-back. */
async function countBuffers<T>(gpu: Gpu, run: () => Promise<T>): Promise<{ created: number; result: T }> {
  const { device } = gpu;
  const create = device.createBuffer;
  let created = 0;
  device.createBuffer = (descriptor) => {
    if (descriptor.label !== 'read-back') created += descriptor.size;
    return create.call(device, descriptor);
  };
  try {
    const result = await run();
    return { created, result };
  } finally {
    device.createBuffer = create;
  }
}

/** A trainer of a network of the `tiny` preset. The data set is one batch, so an epoch is one step and one read-back. */
export async function deepTrainer(arena: Arena, spec: ModelSpec, batch = BATCH): Promise<Trainer> {
  const dataset = await oneBatch({ width: 32, height: 32 }, batch, PEOPLE);
  const vectors = arena.matrix('vectors', batch, PEOPLE);
  arena.gpu.write(
    vectors,
    Float32Array.from({ length: batch * vectors.stride }, (_, i) => (i % vectors.stride < PEOPLE ? (i * 37) % 50 : 0)),
  );
  const indices = Uint32Array.from(dataset.labels.keys());
  const training = inversionTraining({ training: { epochs: 10_000, batchSize: batch, learningRate: 1e-3 } }, 1);
  return Trainer.create(arena, spec, { ...uploadDataset(arena, dataset), vectors }, indices, training);
}

async function benchSteps(gpu: Gpu, timing: Timing, name: string, spec: ModelSpec): Promise<Row[]> {
  const arena = new Arena(gpu);
  const trainer = await deepTrainer(arena, spec);
  await trainer.trainEpoch();
  const before = gpu.submissions;
  await trainer.trainEpoch();
  const submits = gpu.submissions - before - 1;
  const { step } = await interleave(gpu, { step: { run: () => trainer.trainEpoch() } }, timing);
  trainer.finish();
  arena.destroy();
  return [
    makeRow(`training step, ${name}, batch ${BATCH}`, step, 'ms'),
    makeRow(`submissions per training step, ${name}`, [submits], 'submissions', atMost(1)),
  ];
}
