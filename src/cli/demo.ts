import { fileURLToPath } from 'node:url';
import type { DeepArguments } from './deep.ts';
import type { ShallowArguments } from './shallow.ts';

/**
 * The demo is a shallow experiment on small embedded faces whose settings show the effect and its caveat in a few
 * minutes without a GPU.
 * @param tiny the same in seconds, for tests: everything happens, nothing is learned well
 */
export function demoArguments(tiny: boolean, resume: boolean): ShallowArguments {
  const demo = {
    rates: [2 ** -6, 2 ** -4, 2 ** -3],
    layerSets: ['fc1', 'both'],
    noise: ['gaussian'],
    draws: 3,
  };
  const test = { rates: [2 ** -6, 2 ** -3], layerSets: ['both'], noise: ['gaussian'], draws: 2, hidden: [32] };
  return {
    model: 'mlp',
    preset: 'quick',
    resume,
    width: tiny ? 21 : 56,
    height: tiny ? 24 : 64,
    epochs: tiny ? 3 : undefined,
    overrides: tiny ? test : demo,
  };
}

/** Networks of the tiny preset that this project trained on its embedded faces; data/README.md says how. */
const PRETRAINED = fileURLToPath(new URL('../../data/deep-tiny/', import.meta.url));

/**
 * The second half of the demo: the deep experiment at once, because its networks come with the project.
 * @param tiny fewer conditions, for tests
 */
export function deepDemoArguments(tiny: boolean, resume: boolean): DeepArguments {
  const both = 'fc1+fc2';
  const sweeps = [
    { layers: both, rates: [2 ** -9, 2 ** -8, 2 ** -7, 2 ** -6] },
    { layers: 'fc1', rates: [2 ** -6, 2 ** -5, 2 ** -4] },
  ];
  const noise = { kinds: ['gaussian'], sets: [both, 'fc1'], matched: both, moments: false };
  const less = { sweeps: [{ layers: both, rates: [2 ** -8, 2 ** -6] }], noise: { ...noise, sets: [both] }, draws: 2 };
  return {
    preset: 'tiny',
    pretrained: PRETRAINED,
    augment: 0,
    allowShared: false,
    resume,
    overrides: {
      // Two bits of headroom, one more than the preset: in a network this small they show the published effect.
      format: { kind: 'fixed', bits: 12, headroom: 2 },
      sweeps,
      noise,
      draws: 3,
      photographs: 1,
      attackers: [{ name: 'direct' }, { name: 'clipped', clip: 'observed' }],
      ...(tiny && less),
    },
  };
}
