import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { fitGaussian, type Gaussian, standardNormals } from '../../src/models/gaussian.ts';
import { Random } from '../../src/random.ts';

/** L L^T */
const covariance = ({ factor }: Gaussian, i: number, j: number) => {
  const at = (row: number, k: number) => factor[row][k] ?? 0;
  return factor.reduce((sum, _, k) => sum + at(i, k) * at(j, k), 0);
};

describe('a normal distribution fitted to vectors', () => {
  it('has their mean and their covariance', () => {
    const fitted = fitGaussian(Float32Array.of(1, 2, 3, 8, 5, 5), 2);
    expect([...fitted.mean]).toEqual([3, 5]);
    // Variances 4 and 9, covariance 3; a thousandth of the mean variance is added to both variances.
    expect(covariance(fitted, 0, 0)).toBeCloseTo(4.0065, 10);
    expect(covariance(fitted, 1, 0)).toBeCloseTo(3, 10);
    expect(covariance(fitted, 1, 1)).toBeCloseTo(9.0065, 10);
  });

  it('is finite for fewer vectors than dimensions, and for vectors that are all alike', () => {
    for (const vectors of [Float32Array.of(1, 2, 3, 4, 0, 1, 5, 2), Float32Array.of(1, 2, 3, 4, 1, 2, 3, 4)]) {
      const { factor } = fitGaussian(vectors, 4);
      for (const row of factor) for (const value of row) expect(Number.isFinite(value)).toBe(true);
    }
  });

  it('refuses a single vector, and a part of one', () => {
    expect(() => fitGaussian(new Float32Array(4), 4)).toThrow(ShapeError);
    expect(() => fitGaussian(new Float32Array(9), 4)).toThrow('fitGaussian: 9 values are not two vectors of 4 or more');
  });
});

describe('standard normal numbers', () => {
  it('have mean 0, variance 1 and normal tails, and are the same for the same stream', () => {
    const values = standardNormals(new Random(1, 2), 20_001);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.04);
    // 4.55 % lie beyond two deviations.
    expect(values.filter((value) => Math.abs(value) > 2).length / values.length).toBeCloseTo(0.0455, 1.9);
    expect(standardNormals(new Random(1, 2), 20_001)).toEqual(values);
    expect(standardNormals(new Random(1, 3), 3)).not.toEqual(values.slice(0, 3));
  });
});
