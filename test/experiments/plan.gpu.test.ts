import { afterEach, expect, it } from 'vitest';
import { createDataset } from '../../src/data/dataset.ts';
import { deepInversion, deepTraining, deepVictim } from '../../src/experiments/deep.ts';
import { deepPreset, parseDeepConfig } from '../../src/experiments/deep_config.ts';
import { NETWORKS, planDeep } from '../../src/experiments/plan.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { Trainer } from '../../src/models/trainer.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

const CLASSES = 30;

it.each(NETWORKS)('the plan of the tiny %s is what its training allocates', async (network) => {
  const { gpu } = device;
  arena = new Arena(gpu);
  const config = parseDeepConfig(deepPreset('tiny', 1), 'tiny');
  const training = { ...deepTraining(config[network].training, 1), epochs: 1 };
  // One full batch; what is left of the epoch is dropped.
  const count = training.batchSize + 3;
  const labels = Uint32Array.from({ length: count }, (_, i) => i % CLASSES);
  const dataset = await createDataset({
    name: 'noise',
    width: config.size,
    height: config.size,
    classNames: Array.from({ length: CLASSES }, (_, i) => String(i)),
    images: Uint8Array.from({ length: count * config.size ** 2 }, (_, i) => Math.imul(i, 2654435761) >>> 24),
    labels,
    ids: Array.from(labels, (_, i) => String(i)),
  });
  const data = uploadDataset(arena, dataset);
  const vectors = network === 'inversion' ? arena.matrix('vectors', count, CLASSES) : undefined;
  const images = { victim: count, inversion: count };
  const plan = planDeep(config, CLASSES, gpu.device.limits, images)[network];
  const small = labels.byteLength * 2; // labels and the order of the images
  expect(Math.abs(arena.bytes - small - plan.dataBytes)).toBeLessThan(0.05 * plan.dataBytes);

  const spec = network === 'victim' ? deepVictim(config, CLASSES) : deepInversion(config, CLASSES);
  const before = arena.bytes;
  const trainer = await Trainer.create(
    arena,
    spec,
    { ...data, vectors },
    labels.map((_, i) => i),
    training,
  );
  expect(arena.bytes - before).toBe(plan.parameterBytes);
  await trainer.trainEpoch();
  // The flat parameters and the data set are not the trainer's own.
  const own = plan.buffers.length - (network === 'inversion' ? 3 : 2);
  const megabytes = ((plan.trainingBytes - plan.parameterBytes) / 1e6).toFixed(1);
  expect(trainer.plan).toBe(`arena ${megabytes} MB, ${own} buffers`);
  trainer.finish();
});
