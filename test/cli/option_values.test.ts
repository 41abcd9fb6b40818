import { InvalidArgumentError } from 'commander';
import { expect, it } from 'vitest';
import { choices, filePath, layerSets, rateMap, rates, whole } from '../../src/cli/option_values.ts';

it('rates are read as numbers and as powers of two, separated by commas', () => {
  expect(rates('0.01,2^-6, 1e-3 ,0,1')).toEqual([0.01, 2 ** -6, 1e-3, 0, 1]);
  for (const wrong of ['', '1.5', '-0.1', 'NaN', '12.5%', '0.1,', '2^1']) {
    expect(() => rates(wrong)).toThrow(InvalidArgumentError);
  }
});

it('2-6, which cmd.exe makes of 2^-6, is refused with advice about the caret', () => {
  for (const read of [() => rates('0.1,2-6'), () => rateMap('fc1=2-6')]) {
    expect(read).toThrow(/^2-6 is not a rate in 0\.\.1; if it was 2\^-6: cmd\.exe drops the \^, so quote it, "2\^-6"/);
  }
  expect(() => rates('2-x')).toThrow(/^2-x is not a rate in 0\.\.1\.$/);
});

it('a rate map has one rate per layer, and appends to earlier ones', () => {
  expect(rateMap('fc1=0.01,fc2=2^-9', [{ fc1: 1 }])).toEqual([{ fc1: 1 }, { fc1: 0.01, fc2: 2 ** -9 }]);
  expect(() => rateMap('fc1=0.1,fc1=0.2')).toThrow('the layer fc1 occurs twice');
  for (const key of ['__proto__', 'constructor'])
    expect(() => rateMap(`${key}=1`)).toThrow(`no layer is called ${key}`);
  for (const wrong of ['fc1', '=1', 'fc1=', 'fc1=1=2', 'fc1=2'])
    expect(() => rateMap(wrong)).toThrow(InvalidArgumentError);
});

it('a set of layers that is named twice, or names a layer twice, is refused', () => {
  expect(layerSets('fc1,fc1+fc2,all')).toEqual(['fc1', 'fc1+fc2', 'all']);
  expect(() => layerSets('fc1,fc2,fc1')).toThrow('fc1 occurs twice');
  expect(() => layerSets('fc2+fc2')).toThrow('fc2 occurs twice');
});

it('a choice that is made twice is refused', () => {
  expect(choices(['a', 'b'])('b,a')).toEqual(['b', 'a']);
  expect(() => choices(['a', 'b'])('a,b,a')).toThrow('a occurs twice');
});

it('an empty path and a number that is not exact are refused', () => {
  expect(filePath('a b')).toBe('a b');
  for (const empty of ['', '  ']) expect(() => filePath(empty)).toThrow(/this one is empty/);
  expect(whole('9007199254740991')).toBe(2 ** 53 - 1);
  for (const wrong of ['9007199254740992', '9'.repeat(400), '1.5', '-1', '']) {
    expect(() => whole(wrong)).toThrow(InvalidArgumentError);
  }
});
