import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { philox4x32, Random } from '../../src/random.ts';

test('philox4x32 gives the known answers of the Random123 library', () => {
  const hex = (counter: number[], key: number[]) =>
    philox4x32(counter, key)
      .map((word) => word.toString(16).padStart(8, '0'))
      .join(' ');
  const ones = 0xffffffff;
  expect(hex([0, 0, 0, 0], [0, 0])).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
  expect(hex([ones, ones, ones, ones], [ones, ones])).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
  expect(hex([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toBe(
    'd16cfe09 94fdcceb 5001e420 24126ea1',
  );
});

describe('the random generator Random', () => {
  test('Random counts blocks, with both words of the seed as key and the stream in the counter', () => {
    const random = new Random(7 * 2 ** 32 + 5, 3);
    const words = Array.from({ length: 8 }, () => random.nextU32());
    expect(words).toEqual([...philox4x32([0, 0, 3, 0], [5, 7]), ...philox4x32([1, 0, 3, 0], [5, 7])]);
  });

  test('Random differs between seeds and between streams', () => {
    const first = (seed: number, stream: number) => new Random(seed, stream).nextU32();
    expect(new Set([first(0, 0), first(1, 0), first(0, 1), first(2 ** 32, 0)]).size).toBe(4);
  });

  test('Random sets every bit half of the time', () => {
    const random = new Random(1);
    const ones = new Array(32).fill(0);
    const count = 20_000;
    for (let i = 0; i < count; i++) {
      const word = random.nextU32();
      for (let bit = 0; bit < 32; bit++) ones[bit] += (word >>> bit) & 1;
    }
    const fourSigma = 4 * Math.sqrt(count / 4);
    for (const each of ones) expect(Math.abs(each - count / 2)).toBeLessThan(fourSigma);
  });

  test('no bit of Random is more even than chance from word to word', () => {
    // The number of ones among 100 words has variance 25; correlated neighbours change it (pcg4d: 18 for bit 0).
    const random = new Random(1, 1);
    const windows = 2000;
    const squares = new Array(32).fill(0);
    for (let i = 0; i < windows; i++) {
      const ones = new Array(32).fill(0);
      for (let k = 0; k < 100; k++) {
        const word = random.nextU32();
        for (let bit = 0; bit < 32; bit++) ones[bit] += (word >>> bit) & 1;
      }
      for (let bit = 0; bit < 32; bit++) squares[bit] += (ones[bit] - 50) ** 2 / windows;
    }
    for (const variance of squares) expect(Math.abs(variance / 25 - 1)).toBeLessThan(4 * Math.sqrt(2 / windows));
  });

  test('Random returns integers below n, each equally often', () => {
    const random = new Random(2);
    const counts = new Array(7).fill(0);
    for (let i = 0; i < 70_000; i++) counts[random.uniformInt(7)]++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(4 * Math.sqrt(10_000));
  });

  test('Random rejects words beyond the last whole multiple of n', () => {
    // For n = 3 * 2^30 a quarter of all words is rejected; a plain remainder would double the weight of 0..2^30-1.
    const random = new Random(3);
    let low = 0;
    for (let i = 0; i < 30_000; i++) low += random.uniformInt(3 * 2 ** 30) < 2 ** 30 ? 1 : 0;
    expect(Math.abs(low - 10_000)).toBeLessThan(4 * Math.sqrt(30_000 * (2 / 9)));
  });

  test('Random returns 0 for n = 1 and the word itself for n = 2^32', () => {
    expect(new Random(4).uniformInt(1)).toBe(0);
    expect(new Random(4).uniformInt(2 ** 32)).toBe(new Random(4).nextU32());
  });

  test('Random shuffles in place and keeps every item', () => {
    const items = ['a', 'b', 'c', 'd', 'e'];
    expect(new Random(5).shuffle(items)).toBe(items);
    expect([...items].sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('Random makes every order of three equally often', () => {
    const orders = new Map<string, number>();
    for (let seed = 0; seed < 6000; seed++) {
      const order = new Random(seed).permutation(3).join('');
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    expect(orders.size).toBe(6);
    for (const count of orders.values()) expect(Math.abs(count - 1000)).toBeLessThan(4 * Math.sqrt(1000));
  });

  test('Random refuses seeds, streams and ranges that it cannot represent exactly', () => {
    for (const seed of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => new Random(seed)).toThrow(ConfigError);
    for (const stream of [-1, 0.5, 2 ** 32]) expect(() => new Random(0, stream)).toThrow(ConfigError);
    for (const n of [0, -3, 1.5, 2 ** 32 + 1]) expect(() => new Random(0).uniformInt(n)).toThrow(ConfigError);
  });
});
