/**
 * Calibrates noise to an accuracy: finds the largest scale at which the model's accuracy has not fallen below a target. The
 * accuracy as a function of the scale is measured on a coarse grid, from the strongest noise down to the first scale that
 * reaches the target, and then near the target; all measured points are stored.
 */
import * as v from 'valibot';
import { DataError } from '../errors.ts';

/** A measured curve, and the scale found for each target. Scales are stored because later targets refine the curve. */
const Curve = v.object({
  points: v.array(v.object({ scale: v.number(), accuracy: v.number() })),
  scales: v.record(v.string(), v.number()),
});
export type CalibrationCurve = v.InferOutput<typeof Curve>;

/** Scales of the coarse grid, in units of a layer's full scale: 2^0 .. 2^-9. */
const GRID = Array.from({ length: 10 }, (_, i) => 2 ** -i);
const REFINEMENTS = 2;

export class Calibration {
  readonly curve: CalibrationCurve;
  readonly #measure: (scale: number) => Promise<number>;

  /**
   * @param measure mean accuracy at a scale, over draws and images that are used for nothing else
   * @param curve measured before, from {@link Calibration.curve}
   */
  constructor(measure: (scale: number) => Promise<number>, curve: CalibrationCurve = { points: [], scales: {} }) {
    this.#measure = measure;
    this.curve = curve;
  }

  /** Validates stored curves. @param name of their file, for messages. @throws DataError when the value holds no curves */
  static parse(json: unknown, name: string): Record<string, CalibrationCurve> {
    const result = v.safeParse(v.record(v.string(), Curve), json);
    if (!result.success) throw new DataError(`${name}: ${result.issues[0].message}; delete it to calibrate again`);
    return result.output;
  }

  /**
   * @param target accuracy, 0..1
   * @param tolerance of the accuracy, 0..1
   * @returns the scale in units of full scale, rounded to three digits, where the accuracy crosses `target`
   */
  async scaleFor(target: number, tolerance: number): Promise<number> {
    const known = this.curve.scales[target];
    if (known !== undefined) return known;
    // Weaker noise cannot change where the search from the strongest noise down ends.
    for (const scale of GRID) if ((await this.#at(scale)) >= target) break;
    let scale = this.#cross(target);
    for (let i = 0; i < REFINEMENTS; i++) {
      const accuracy = await this.#at(scale);
      if (Math.abs(accuracy - target) <= tolerance) break;
      const next = this.#cross(target);
      if (next === scale) break;
      scale = next;
    }
    this.curve.scales[target] = scale;
    return scale;
  }

  async #at(scale: number): Promise<number> {
    const known = this.curve.points.find((point) => point.scale === scale);
    if (known) return known.accuracy;
    const accuracy = await this.#measure(scale);
    this.curve.points.push({ scale, accuracy });
    this.curve.points.sort((a, b) => a.scale - b.scale);
    return accuracy;
  }

  /** The scale at which the falling envelope of the points crosses `target`, interpolated linearly in log scale. */
  #cross(target: number): number {
    // Search from the strongest noise down for the first point that still has the target accuracy.
    const { points } = this.curve;
    let i = points.length - 1;
    while (i >= 0 && points[i].accuracy < target) i--;
    if (i < 0) return points[0].scale;
    if (i === points.length - 1) return points[i].scale;
    const [low, high] = [points[i], points[i + 1]];
    const share = (low.accuracy - target) / (low.accuracy - high.accuracy);
    return Number((low.scale * (high.scale / low.scale) ** share).toPrecision(3));
  }
}
