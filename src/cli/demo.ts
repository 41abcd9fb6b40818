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
