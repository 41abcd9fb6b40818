import { afterEach, expect, it } from 'vitest';
import { createDataset } from '../../src/data/dataset.ts';
import { parseExperiment } from '../../src/experiments/config.ts';
import { planExperiment, trainedNetworks } from '../../src/experiments/plan.ts';
import { presetInput } from '../../src/experiments/presets.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { Trainer } from '../../src/models/trainer.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

const CLASSES = 30;
const SIZE = 32;

it.each(['victim', 'inversion'] as const)(
  'the plan of the tiny %s matches what its training allocates',
  async (network) => {
    const { gpu } = device;
    arena = new Arena(gpu);
    const config = parseExperiment(presetInput('deep'), 'tiny');
    const faces = { classes: CLASSES, width: SIZE, height: SIZE };
    const { spec, training: whole } = trainedNetworks(config, faces).find(({ name }) => name === network)!;
    const training = { ...whole, epochs: 1 };
    // One full batch; the rest of the epoch is dropped.
    const count = training.batchSize + 3;
    const labels = Uint32Array.from({ length: count }, (_, i) => i % CLASSES);
    const dataset = await createDataset({
      name: 'noise',
      width: SIZE,
      height: SIZE,
      classNames: Array.from({ length: CLASSES }, (_, i) => String(i)),
      images: Uint8Array.from({ length: count * SIZE ** 2 }, (_, i) => Math.imul(i, 2654435761) >>> 24),
      labels,
      ids: Array.from(labels, (_, i) => String(i)),
    });
    const data = uploadDataset(arena, dataset);
    const vectors = network === 'inversion' ? arena.matrix('vectors', count, CLASSES) : undefined;
    const planned = planExperiment(config, { ...faces, trained: count, publicFaces: count }, gpu.device.limits);
    const plan = planned.find(({ name }) => name === network)!;
    const small = labels.byteLength * 2; // labels and the order of the images
    expect(Math.abs(arena.bytes - small - plan.dataBytes)).toBeLessThan(0.05 * plan.dataBytes);

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
    // The trainer does not allocate the flat parameters and the data set.
    const own = plan.buffers.length - (network === 'inversion' ? 3 : 2);
    const megabytes = ((plan.trainingBytes - plan.parameterBytes) / 1e6).toFixed(1);
    expect(trainer.plan).toBe(`arena ${megabytes} MB, ${own} buffers`);
    trainer.finish();
  },
);
