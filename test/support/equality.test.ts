import { expect, it } from 'vitest';

it('typed arrays are equal when their kinds and all their values are, NaN and signs of zeros included', () => {
  const values = () => Float32Array.of(1, Number.NaN, -0);
  expect(values()).toEqual(values());
  expect({ of: [values()] }).toEqual({ of: [values()] });
  expect(values()).not.toEqual(Float32Array.of(1, Number.NaN, 0));
  expect(values()).not.toEqual(values().subarray(1));
  expect(Uint8Array.of(1)).not.toEqual(Uint16Array.of(1));
  expect(Uint8Array.of(1, 2)).not.toEqual(Uint8Array.of(1, 3));
});

it('a million equal values are compared in less than a second of processor time', () => {
  const [a, b] = [new Uint32Array(1e6), new Uint32Array(1e6)];
  const started = process.cpuUsage();
  expect(a).toEqual(b);
  expect(process.cpuUsage(started).user).toBeLessThan(1e6);
});
