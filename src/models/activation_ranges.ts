import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { Recorder } from '../gpu/recorder.ts';
import { recordGatherBatch } from '../kernels/batch.ts';
import { MAX_ABS_SCRATCH_BYTES, recordMaxAbs } from '../kernels/reduce.ts';
import { planGraph, recordForward } from '../layers/graph.ts';
import { inputShape, type LayerSpec } from '../layers/kinds.ts';
import { sizeOf } from '../layers/layer.ts';
import type { WeightsOf } from '../layers/weights.ts';
import type { DeviceDataset } from './device_dataset.ts';

/**
 * The largest magnitude of the output of every layer over some images, but at least 2^-60, by the names of the layers.
 * @param indices of the images, at least one
 * @throws LimitError, DeviceLostError
 */
export async function activationRanges(
  gpu: Gpu,
  layers: readonly LayerSpec[],
  weights: WeightsOf,
  data: DeviceDataset,
  indices: Uint32Array,
  batchSize: number,
): Promise<ReadonlyMap<string, number>> {
  const arena = new Arena(gpu);
  try {
    const size = Math.min(batchSize, indices.length);
    const batches = Math.ceil(indices.length / size);
    const order = arena.allocate('order', batches * size * 4);
    // The last batch is filled up with images that were measured already.
    gpu.write(
      order,
      Uint32Array.from({ length: batches * size }, (_, i) => indices[i % indices.length]),
    );
    const images = arena.matrix('images', size, sizeOf(inputShape(layers[0])));
    const targets = arena.allocate('targets', size * 4);
    const scratch = arena.allocate('max abs scratch', MAX_ABS_SCRATCH_BYTES);
    const recorder = new Recorder(gpu);
    recordGatherBatch(recorder, { ...data, order, images, targets });
    const outputs = layers.map(({ name }) => ({ ...arena.allocate(`${name} range`, 8), size: 8 }));
    const plan = planGraph(arena, layers, images, { keeps: () => true });
    recordForward(recorder, arena, layers, weights, plan, (layer, input) => {
      const output = outputs[layers.findIndex(({ name }) => name === layer)];
      recordMaxAbs(recorder, { input, scratch, output });
    });
    const program = await recorder.build('activation ranges');
    const ranges = new Map(layers.map(({ name }) => [name, 2 ** -60]));
    for (let batch = 0; batch < batches; batch++) {
      program.setStep({ batchOffset: batch * size });
      program.run();
      const measured = await gpu.read(...outputs);
      for (const [i, { name }] of layers.entries()) {
        ranges.set(name, Math.max(ranges.get(name)!, new Float32Array(measured[i])[0]));
      }
    }
    return ranges;
  } finally {
    arena.destroy();
  }
}
