/** A small configuration for tests of whole experiments. */
import { type ExperimentConfig, parseExperiment, type VictimKind } from '../../src/experiments/config.ts';
import { presetInput } from '../../src/experiments/presets.ts';

/** A small network trained for two epochs, one rate on all layers, two draws, and MI-Face of five iterations. */
export function configuration(
  kind: Exclude<VictimKind, 'yang'>,
  changes: Record<string, unknown> = {},
): ExperimentConfig {
  const preset = presetInput('shallow', { victim: kind, images: { width: 14, height: 16 } });
  const { victim } = preset;
  if (!('hidden' in victim)) throw new Error('the victim must have dense layers');
  const small = {
    victim: {
      ...victim,
      hidden: victim.hidden.map((width) => Math.ceil(width / 20)),
      training: {
        ...victim.training,
        epochs: 2,
        steps: undefined,
        ...(kind === 'dae' && { reconstruction: { epochs: 2, deviation: 0.1, learningRate: 1e-3 } }),
      },
    },
    sweeps: [{ layers: 'all', rates: [2 ** -4] }],
    draws: 2,
    evaluator: 'linear',
    noise: { kinds: [] },
    attacks: (preset.attacks as object[]).map((attack) => ({ ...attack, iterations: 5 })),
    seed: 5,
  };
  return parseExperiment({ ...preset, ...small, ...changes }, 'test');
}
