import { expect, it } from 'vitest';
import { toFloat } from '../../src/data/dataset.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { activationRanges } from '../../src/models/activation_ranges.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { describedNetwork } from '../../src/models/network.ts';
import { parametersOf, stackForward } from '../reference/model.ts';
import { useGpu } from '../support/gpu.ts';
import { randomParameters, TOY, toyDataset } from '../support/toy.ts';

const device = useGpu();

it('ranges of activations are those of the reference, also before a batch normalisation that is fused in inference', async () => {
  const arena = new Arena(device.gpu);
  const dataset = await toyDataset();
  const spec = describedNetwork({
    kind: 'network',
    input: { height: TOY.height, width: TOY.width, channels: 1 },
    layers: [
      { kind: 'conv2d', name: 'c', channels: 3, kernelSize: 3, padding: 1 },
      { kind: 'batch_norm', name: 'n' },
      { kind: 'relu', name: 'r' },
      { kind: 'flatten', name: 'f' },
      { kind: 'dense', name: 'd', outputs: TOY.classes },
    ],
  });
  const parameters = randomParameters(arena, spec, 3);
  // A variance is not negative.
  device.gpu.write(parameters.matrix('n.running_var'), Float32Array.of(0.5, 1, 2));
  const names = spec.layers.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['c', 'n', 'd']));
  const indices = Uint32Array.of(4, 9, 17, 2, 28);
  const data = uploadDataset(arena, dataset);
  // Batches of 2: the last one is filled up.
  const ranges = await activationRanges(device.gpu, spec.layers, plainWeights(parameters), data, indices, 2);
  const values = parametersOf(parameters.layout, await device.gpu.readWords(parameters.view));
  const x = toFloat(dataset, indices);
  const [, ...outputs] = stackForward(spec.layers, values, x, indices.length);
  for (const [i, name] of names.entries()) {
    const largest = outputs[i].reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    expect(ranges.get(name), name).toBeGreaterThan(0.1);
    expect(Math.abs(ranges.get(name)! / largest - 1), name).toBeLessThan(1e-4);
  }
  arena.destroy();
});
