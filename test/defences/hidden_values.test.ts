import { describe, expect, it } from 'vitest';
import { BIDO } from '../../src/defences/bido.ts';
import { MID } from '../../src/defences/mid.ts';
import { ConfigError } from '../../src/errors.ts';
import { parseExperiment } from '../../src/experiments/config.ts';
import { victimTraining } from '../../src/experiments/described_victim.ts';
import { presetInput } from '../../src/experiments/presets.ts';

const trainingOf = (defences: object) => {
  const preset = presetInput('shallow');
  return victimTraining(parseExperiment({ ...preset, defences }, 'test'));
};

describe('the flags of the defences of hidden values', () => {
  it('the flag of BiDO takes two factors', () => {
    const [{ read }] = BIDO.flags;
    expect(read('1e6, 2e3', undefined)).toEqual({ input: 1e6, labels: 2e3 });
    for (const text of ['1e6', '1,2,3', '1,', '-1,2', '1,1e10', 'a,b', '']) {
      expect(() => read(text, undefined), text).toThrow(ConfigError);
    }
  });

  it('the flag of MID takes one factor above 0', () => {
    const [{ read }] = MID.flags;
    expect(read('0.01', undefined)).toBe(0.01);
    for (const text of ['0', '-1', '1e7', 'x', '']) expect(() => read(text, undefined), text).toThrow(ConfigError);
  });
});

it('a configuration trains with the factors of its defences, and a wrong one is refused by its path', () => {
  const plain = trainingOf({});
  expect(trainingOf({ bido: { input: 5, labels: 0 }, mid: 0.1 })).toEqual({
    ...plain,
    dependence: { input: 5, labels: 0 },
    bottleneck: 0.1,
  });
  expect(() => trainingOf({ bido: { input: 5 } })).toThrow(/defences\.bido\.labels/);
  expect(() => trainingOf({ mid: 0 })).toThrow(/defences\.mid/);
});
