/** The networks of the preset `deep`, for benchmarks. */
import { parseExperiment } from '../src/experiments/config.ts';
import { trainedNetworks } from '../src/experiments/plan.ts';
import { type PresetSize, presetInput } from '../src/experiments/presets.ts';

/** @param classes number of people whom the victim recognises. @returns victim and inversion network, each with its training */
export function deepNetworks(size: PresetSize<'deep'>, classes: number) {
  const config = parseExperiment(presetInput('deep', { size }), size);
  if (config.data.kind !== 'procedural')
    throw new Error('the preset `deep` should have procedural faces, but does not');
  const [victim, inversion] = trainedNetworks(config, { ...config.data, classes });
  return { config, victim, inversion };
}
