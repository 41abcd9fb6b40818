import { expect, it } from 'vitest';
import { meanImage, seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { DeviceLostError } from '../../src/errors.ts';
import { runShallow } from '../../src/experiments/shallow.ts';
import { parseShallowConfig, shallowPreset } from '../../src/experiments/shallow_config.ts';
import { MemoryStore } from '../../src/experiments/store.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();

it('a device lost in mid-run ends the run with an error, and no row is written after the loss', async () => {
  const { gpu } = device;
  const faces = { identities: 4, photographs: 5, width: 14, height: 16, seed: 3 };
  const dataset = await renderFaces(gpu, { ...faces, population: 'private' });
  const config = parseShallowConfig(
    {
      ...(shallowPreset('quick', 'mlp', 14 * 16, 5) as object),
      hidden: [10],
      training: {
        epochs: 1,
        batchSize: 8,
        optimizer: { kind: 'sgd', learningRate: 0.01, momentum: 0, weightDecay: 0 },
      },
      attacks: [{ start: 'zero', iterations: 20, step: 1 }],
    },
    'test',
  );
  const split = seededSplit(dataset, 3, 3);
  const input = { dataset, split, meanFace: meanImage(dataset, split.train) };
  const store = new MemoryStore();
  let lostAt = -1;
  const progress = {
    start() {},
    done() {},
    warn() {},
    advance() {
      if (store.rows.length === 2 && lostAt < 0) {
        lostAt = store.rows.length;
        gpu.device.destroy();
      }
    },
  };
  const run = runShallow(gpu, input, config, store, progress, new AbortController().signal);
  await expect(run).rejects.toThrow(DeviceLostError);
  await expect(run).rejects.toThrow(/the GPU device was lost/);
  expect(lostAt).toBe(2);
  expect(store.rows).toHaveLength(2);
});
