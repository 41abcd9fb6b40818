/** Noise that changes the weights by as much as bit errors do. */
import type { ApproximateMemory } from '../injection/approximate_memory.ts';
import type { NoiseKind } from '../memory/config.ts';
import { type Condition, conditionKey, type NoiseCondition } from '../results/results.ts';

/**
 * For each kind, noise that changes every layer by the same mean square as bit errors do.
 * @param memory holds the layers of the condition in its number format
 * @throws ConfigError for floating point, whose flips have no finite moments; DeviceLostError
 */
export async function noiseOfEqualMoments(
  memory: ApproximateMemory,
  condition: Extract<Condition, { kind: 'bit-error' }>,
  kinds: readonly NoiseKind[],
): Promise<NoiseCondition[]> {
  const { granularity, layers } = condition;
  const deviations: [string, number][] = [];
  for (const [layer, rate] of Object.entries(condition.rates)) {
    deviations.push([layer, await memory.flipDeviation(layer, rate)]);
  }
  return kinds.map((kind) => {
    // A Laplacian of scale b has the standard deviation sqrt(2) b.
    const scale = (deviation: number) =>
      Number((kind === 'laplacian' ? deviation / Math.SQRT2 : deviation).toPrecision(6));
    return {
      kind,
      rates: Object.fromEntries(deviations.map(([layer, deviation]) => [layer, scale(deviation)])),
      granularity,
      layers,
      calibration: 'moments',
      matchedTo: conditionKey(condition),
    };
  });
}
