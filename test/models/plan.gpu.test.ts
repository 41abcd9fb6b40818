import { afterEach, expect, it } from 'vitest';
import { createDataset } from '../../src/data/dataset.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { importOnnx } from '../../src/models/onnx_file.ts';
import { planNetwork } from '../../src/models/plan.ts';
import { Trainer } from '../../src/models/trainer.ts';
import type { TrainingConfig } from '../../src/models/training_config.ts';
import { useGpu } from '../support/gpu.ts';
import { readFixture } from '../support/platform.ts';

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => {
  arena?.destroy();
  arena = undefined;
});

/** Counts the bytes of all buffers that are created while `run` is running. */
async function created(run: () => Promise<void>): Promise<number> {
  const gpuDevice = device.gpu.device;
  const createBuffer = gpuDevice.createBuffer.bind(gpuDevice);
  let bytes = 0;
  gpuDevice.createBuffer = (descriptor) => {
    bytes += descriptor.size;
    return createBuffer(descriptor);
  };
  try {
    await run();
  } finally {
    gpuDevice.createBuffer = createBuffer;
  }
  return bytes;
}

it.each<[string, string, Partial<TrainingConfig>]>([
  ...['mlp3', 'lenet', 'vgg_rgb', 'resnet_rgb', 'mobile'].map((name): [string, string, object] => [name, 'SGD', {}]),
  ['lenet', 'DP-SGD', { privacy: { clip: 1, noise: 1 } }],
  ['mlp3', 'SGD with BiDO and MID', { dependence: { input: 1e5, labels: 1e3 }, bottleneck: 0.1 }],
])(
  'the training of %s by %s creates buffers of the bytes that the plan says, within a twentieth',
  async (name, _kind, how) => {
    const file = `networks/${name}.onnx`;
    const { spec } = importOnnx(readFixture(file), file);
    if (spec.description.kind !== 'network') throw new Error(`${name} is a ${spec.description.kind}`);
    const { width, height, channels } = spec.description.input;
    const training: TrainingConfig = {
      batchSize: 4,
      epochs: 1,
      seed: 1,
      optimizer: { kind: 'sgd', learningRate: 1e-3, momentum: 0.9, weightDecay: 0 },
      ...how,
    };
    const labels = Uint32Array.from({ length: training.batchSize }, (_, i) => i % spec.outputs);
    const dataset = await createDataset({
      name: 'noise',
      width,
      height,
      channels: channels as 1 | 3,
      classNames: Array.from({ length: spec.outputs }, (_, i) => String(i)),
      images: Uint8Array.from({ length: labels.length * spec.inputs }, (_, i) => Math.imul(i, 2654435761) >>> 24),
      labels,
      ids: Array.from(labels, (_, i) => String(i)),
    });
    arena = new Arena(device.gpu);
    const data = uploadDataset(arena, dataset);
    const indices = labels.map((_, i) => i);
    const bytes = await created(async () => {
      const trainer = await Trainer.create(arena!, spec, data, indices, training);
      await trainer.trainEpoch();
      trainer.finish();
    });
    const planned = planNetwork(spec, training).trainingBytes;
    expect(Math.abs(bytes - planned)).toBeLessThan(0.05 * planned);
  },
);
