import { describe, expect, it } from 'vitest';
import { Calibration } from '../../src/experiments/calibration.ts';
import { Random } from '../../src/random.ts';

const GRID = Array.from({ length: 10 }, (_, i) => 2 ** (i - 9));

/** A falling accuracy with a dent, so that it is not monotonic. */
function accuracyAt(scale: number, seed: number): number {
  const random = new Random(seed, Math.round(scale * 1e6));
  return 1 / (1 + (scale / 0.06) ** 2) + 0.1 * (random.uniformInt(1000) / 1000);
}

describe('noise calibrated to accuracies', () => {
  it.each([1, 2, 3, 4, 5])('noise has the scales that a grid measured in full gives, curve %i', async (seed) => {
    const measure = async (scale: number) => accuracyAt(scale, seed);
    const full = { points: GRID.map((scale) => ({ scale, accuracy: accuracyAt(scale, seed) })), scales: {} };
    const [lazy, eager] = [new Calibration(measure), new Calibration(measure, full)];
    for (const target of [0.2, 0.05, 0.5, 0.9, 1.05, 2]) {
      expect(await lazy.scaleFor(target, 0.002), `target ${target}`).toBe(await eager.scaleFor(target, 0.002));
    }
  });

  it('noise far weaker than the scale that is found is not measured', async () => {
    const measured: number[] = [];
    const calibration = new Calibration(async (scale) => {
      measured.push(scale);
      return 1 / (1 + (scale / 0.06) ** 2);
    });
    const scale = await calibration.scaleFor(0.5, 0.002);
    expect(scale).toBeCloseTo(0.06, 2);
    expect(Math.min(...measured)).toBe(2 ** -5);
    expect(new Set(measured).size).toBe(measured.length);
  });
});
