import { expect, it } from 'vitest';
import { findings } from './words.ts';

it('a retired term is found with its line and the term to write instead', () => {
  expect(findings('a.wgsl', 'fn f() {}\n// The twin of f.\n')).toEqual([
    'a.wgsl:2: "twin" is retired: reference (float64)',
  ]);
  expect(findings('README.md', 'FaultMapView, InMemoryRunStore, the besieged between')).toEqual([]);
});

it('a short title is found in every form of describe, it and test, and only in files of tests', () => {
  const text = [
    "describe('rates', () => {",
    "  it.each(cases)('%s', f);",
    "  it.skipIf(x).each(cases)('of %s', f);",
    '  test(`a $' + '{b}`, f);',
    "  it('rates of zero flip nothing', f);",
    "  regex.test('a b');",
    '});',
  ].join('\n');
  expect(findings('a.test.ts', text)).toEqual([
    'a.test.ts:1: the title "rates" has fewer than three words',
    'a.test.ts:3: the title "of %s" has fewer than three words',
    'a.test.ts:4: the title "a $' + '{b}" has fewer than three words',
  ]);
  expect(findings('a.ts', text)).toEqual([]);
});
