/** The parameters of a whole model in one buffer, and their first values. */
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { Recorder } from '../gpu/recorder.ts';
import { recordInitialize } from '../kernels/initialize.ts';
import { layerParameters } from '../layers/kinds.ts';
import { type FlatParameters, ParameterLayout } from '../layers/parameters.ts';
import type { ModelSpec } from './model_spec.ts';

/** The layout of all parameters of a model in one buffer: those of `layers`, then those of the decoder. */
export function modelLayout(spec: ModelSpec): ParameterLayout {
  return new ParameterLayout(layerParameters([...spec.layers, ...spec.decoder]));
}

/** Fills the parameters with the published initialisation. @param seed integer in 0..2^53-1 */
export async function initializeParameters(gpu: Gpu, parameters: FlatParameters, seed: number): Promise<void> {
  const arena = new Arena(gpu);
  const recorder = new Recorder(gpu);
  for (const { name, index: tensor, initialization, taps, columns } of parameters.layout.slices) {
    const padded = taps && columns / (taps.height * taps.width);
    const output = parameters.matrix(name);
    recordInitialize(recorder, arena, { output, channels: taps?.channels, padded, initialization, seed, tensor });
  }
  (await recorder.build('initialize')).run();
  arena.destroy();
}
