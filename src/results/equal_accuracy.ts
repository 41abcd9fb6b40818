/**
 * Moves the difference between bit errors and the noise that was calibrated to them to equal accuracy, along the noise's own curve of a
 * metric over the accuracy.
 */
import type { VariancePart } from '../metrics/interval.ts';
import { sameRelease } from './condition.ts';
import type { Metric } from './metrics.ts';
import type { Condition, Row } from './schema.ts';
import { tableOf } from './summary.ts';

/** Largest difference of two accuracies that are still made equal. */
const MOST_MOVED = 0.05;

/** Difference of two accuracies that need not be made equal. */
const AS_GOOD_AS_EQUAL = 0.005;

/** Images at even positions of the held-out split calibrate noise; comparisons at equal accuracy use the others. */
export function isCalibrationImage(position: number): boolean {
  return position % 2 === 0;
}

/** The rows of a victim, by condition and attack. */
export type RowGroups = ReadonlyMap<string, readonly Row[]>;

/** Both sides of a pair for one victim: rows of the same draws, in their order. */
export interface Sides {
  readonly first: readonly Row[];
  readonly second: readonly Row[];
  readonly group: RowGroups;
}

/** The move of a difference to equal accuracy. */
export interface Move {
  /** Difference of the accuracies, which is made 0. */
  readonly distance: number;
  /** True if the metric's slope over the accuracy is known. */
  readonly hasSlope: boolean;
  /** What is subtracted from the differences of a draw. */
  readonly byDraw: (draw: number) => number;
  /** Its uncertainty: from the sample of images, and from the fit of the slope. */
  readonly parts: readonly VariancePart[];
}

/** No move. */
export const STILL: Move = { distance: 0, hasSlope: true, byDraw: () => 0, parts: [] };

/** True if accuracies can be made equal: their mean difference is small, and that of every victim lies where its slope was fitted. */
export function canBeMoved(moves: readonly Move[]): boolean {
  if (moves.some(({ distance, hasSlope }) => Math.abs(distance) > (hasSlope ? NEIGHBOURHOOD : AS_GOOD_AS_EQUAL)))
    return false;
  return Math.abs(moves.reduce((sum, { distance }) => sum + distance, 0)) <= MOST_MOVED * moves.length;
}

/**
 * The uncertainty of the mean move of several victims. Their images may be the same ones, whose luck then does not average out; their
 * slopes are fitted to different networks and noise, and are independent.
 */
export function partsOfMoves(moves: readonly Move[]): Move['parts'] {
  const mean = (parts: readonly (VariancePart | undefined)[]) =>
    parts.reduce((sum, part) => sum + (part?.variance ?? 0), 0) / moves.length;
  const images = moves.flatMap(({ parts }) => parts.slice(0, 1));
  const slopes = moves.flatMap(({ parts }) => parts.slice(1));
  if (images.length === 0) return [];
  return [
    { variance: mean(images), freedom: Math.min(...images.map(({ freedom }) => freedom)) },
    { variance: mean(slopes) / moves.length, freedom: slopes.reduce((sum, { freedom }) => sum + freedom, 0) },
  ];
}

/** Moves bit errors to the accuracy of their noise along the noise's own curve, on the images that did not calibrate the noise. */
export function moveOf(side: Sides, noise: Condition, metric: Metric): Move {
  const { draws, images, imageVariance } = accuracyDifference(side.first, side.second);
  const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length;
  const slope = slopeOf(side.group, side.second[0].attack, noise, metric, meanAccuracy(side.second));
  if (!slope) return { ...STILL, distance: mean, hasSlope: false };
  const parts = [
    { variance: slope.value ** 2 * imageVariance, freedom: Math.max(1, images - 1) },
    { variance: mean ** 2 * slope.variance, freedom: slope.freedom },
  ];
  return { distance: mean, hasSlope: true, byDraw: (draw) => slope.value * draws[draw], parts };
}

/** Accuracy of the first minus that of the second, on the images that did not calibrate the noise. */
function accuracyDifference(
  a: readonly Row[],
  b: readonly Row[],
): { draws: readonly number[]; imageVariance: number; images: number } {
  if ([...a, ...b].some(({ correct }) => correct === undefined)) {
    return { draws: a.map(({ accuracy }, i) => accuracy - b[i].accuracy), imageVariance: 0, images: 0 };
  }
  const used = a.map(({ correct }, draw) =>
    Array.from(correct!, (answer, image) => Number(answer) - Number(b[draw].correct![image])).filter(
      (_, image) => !isCalibrationImage(image),
    ),
  );
  const images = used[0].length;
  const draws = used.map((row) => row.reduce((sum, value) => sum + value, 0) / images);
  const byImage = used[0].map((_, i) => used.reduce((sum, row) => sum + row[i], 0) / used.length);
  const mean = byImage.reduce((sum, value) => sum + value, 0) / images;
  const squares = byImage.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { draws, images, imageVariance: images > 1 ? squares / (images - 1) / images : 0 };
}

/** Accuracies within this distance of a condition's own show how a metric changes with accuracy there. */
const NEIGHBOURHOOD = 0.15;

/** Fewest points of a slope: two of them would hide how well a line fits. */
const FEWEST_POINTS = 3;

interface Slope {
  readonly value: number;
  readonly variance: number;
  readonly freedom: number;
}

/**
 * Change of a metric per unit of accuracy along the noise of one kind, from the error-free model on, by least squares over the
 * conditions that are close in accuracy, at least three. Undefined where there are fewer, or their accuracies are all alike.
 */
function slopeOf(
  group: RowGroups,
  attack: string,
  noise: Condition,
  metric: Metric,
  accuracy: number,
): Slope | undefined {
  const all: { x: number; y: number }[] = [];
  for (const rows of group.values()) {
    const { condition } = rows[0];
    const isAlike = condition.kind === noise.kind && condition.layers === noise.layers;
    if (rows[0].attack !== attack || !sameRelease(condition, noise) || !(isAlike || condition.kind === 'none'))
      continue;
    const values = tableOf(rows, metric)
      .flat()
      .filter((value) => value !== null);
    if (values.length === 0) continue;
    all.push({ x: meanAccuracy(rows), y: values.reduce((sum, value) => sum + value, 0) / values.length });
  }
  const distance = ({ x }: { x: number }) => Math.abs(x - accuracy);
  const nearest = all.sort((a, b) => distance(a) - distance(b));
  const points = nearest.filter((point, i) => i < FEWEST_POINTS || distance(point) <= NEIGHBOURHOOD);
  if (points.length < FEWEST_POINTS) return undefined;
  const mean = (of: (point: { x: number; y: number }) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0);
  if (spread < 1e-4) return undefined;
  const value = points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spread;
  const freedom = points.length - 2;
  const rest = points.reduce((sum, point) => sum + (point.y - y - value * (point.x - x)) ** 2, 0);
  return { value, variance: rest / freedom / spread, freedom };
}

/** Mean accuracy of rows, 0..1. */
export function meanAccuracy(rows: readonly Row[]): number {
  return rows.reduce((sum, { accuracy }) => sum + accuracy, 0) / rows.length;
}
