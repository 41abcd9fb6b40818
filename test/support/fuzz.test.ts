import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { Random } from '../../src/random.ts';
import { fuzz, mutated } from './fuzz.ts';

const FILES = [Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), new Uint8Array(0)];

describe('the fuzz harness', () => {
  it('the same seed gives the same mutations, and another seed gives others', () => {
    const inputs = (seed: number) => {
      const random = new Random(seed);
      return Array.from({ length: 50 }, () => [...mutated(random, FILES)].join());
    };
    expect(inputs(1)).toEqual(inputs(1));
    expect(inputs(1)).not.toEqual(inputs(2));
    expect(new Set(inputs(1)).size).toBeGreaterThan(20);
  });

  it('the outcomes are counted as values, typed errors and failures', async () => {
    let calls = 0;
    const load = async () => {
      calls++;
      if (calls % 3 === 1) throw new DataError('m: damaged; fetch it again');
    };
    expect(await fuzz(load, FILES, 9, 1)).toMatchObject({ tried: 9, values: 6, errors: 3, failed: 0, failures: [] });
  });

  it.each([
    ['an error that is not typed', () => new TypeError('x is undefined'), /^an error that is not typed: TypeError: x/],
    ['a message of two lines', () => new DataError('a\nb'), /^a message of more than one printable line/],
    ['a message with an escape', () => new DataError('\u001b[31m'), /^a message of more than one printable line/],
    ['a message without an end', () => new DataError('x'.repeat(1000)), /^a message of 1000 characters/],
  ])('%s is a failure, whose input is kept', async (_, error, message) => {
    const { failed, failures } = await fuzz(
      () => {
        throw error();
      },
      FILES,
      1,
      1,
    );
    expect(failed).toBe(1);
    expect(failures[0]).toMatch(message);
    expect(failures[0]).toMatch(/: .*0\.bin$/);
  });
});
