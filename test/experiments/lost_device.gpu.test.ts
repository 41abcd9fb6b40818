import { expect, it } from 'vitest';
import { meanImage, seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { DeviceLostError } from '../../src/errors.ts';
import { parseExperiment } from '../../src/experiments/config.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { presetInput } from '../../src/experiments/presets.ts';
import { InMemoryRunStore } from '../../src/experiments/store.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();

it('a device lost in mid-run ends the run with an error, and no row is written after the loss', async () => {
  const { gpu } = device;
  const faces = { identities: 4, photographs: 5, width: 14, height: 16, seed: 3 };
  const dataset = await renderFaces(gpu, { ...faces, population: 'private' });
  const config = parseExperiment(
    {
      ...presetInput('shallow', { images: { width: 14, height: 16 } }),
      victim: {
        kind: 'mlp',
        hidden: [10],
        training: {
          epochs: 1,
          batchSize: 8,
          optimizer: { kind: 'sgd', learningRate: 0.01, momentum: 0, weightDecay: 0 },
        },
      },
      attacks: [{ kind: 'mi-face', start: 'zero', iterations: 20, step: 1 }],
      evaluator: 'linear',
      seed: 5,
    },
    'test',
  );
  const split = seededSplit(dataset, 3, 3);
  const input = { dataset, split, meanFace: meanImage(dataset, split.train) };
  const store = new InMemoryRunStore();
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
  const run = runExperiment(gpu, input, config, { store, progress, signal: new AbortController().signal });
  await expect(run).rejects.toThrow(DeviceLostError);
  await expect(run).rejects.toThrow(/the GPU device was lost/);
  expect(lostAt).toBe(2);
  expect(store.rows).toHaveLength(2);
});
