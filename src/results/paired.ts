/** Compares bit errors with noise of equal accuracy, person by person and draw by draw. */
import { type BootstrapInterval, pairedDifference } from '../metrics/bootstrap.ts';
import { calibratedTo, conditionKey } from './condition.ts';
import type { Condition, Results, Row } from './schema.ts';

/** Metrics that have a value per person. */
type Compared = 'pcc' | 'pccLift' | 'identity';

/** Bit errors and the noise that was calibrated to their accuracy, under one attack. */
export interface PairedComparison {
  readonly attack: string;
  readonly bitErrors: Condition;
  /** Calibrated to the accuracy of the bit errors, on the same layers or on others. */
  readonly noise: Condition;
  /** Means over the draws. */
  readonly accuracy: { readonly bitErrors: number; readonly noise: number };
  /** Computes bit errors minus noise and its 95 % interval; every bootstrap resample takes the same people and draws of both. */
  readonly difference: (metric: Compared) => BootstrapInterval;
}

/**
 * Compares every noise that was calibrated to the accuracy of bit errors with these bit errors. The intervals are narrower
 * than those of the two conditions alone, because differences between persons cancel.
 */
export function pairedComparisons({ rows, manifest }: Pick<Results, 'rows' | 'manifest'>): PairedComparison[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row.attack}\n${conditionKey(row.condition)}`;
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()].flatMap((noisy) => {
    const { attack, condition } = noisy[0];
    // Noise of published strength, or of equal moments, has another accuracy.
    const target = calibratedTo(condition);
    if (target === undefined) return [];
    const broken = groups.get(`${attack}\n${target}`);
    if (!broken || broken.length !== noisy.length) return [];
    return [
      {
        attack,
        bitErrors: broken[0].condition,
        noise: condition,
        accuracy: { bitErrors: meanAccuracy(broken), noise: meanAccuracy(noisy) },
        difference: (metric) =>
          pairedDifference(valuesOf(broken, metric), valuesOf(noisy, metric), { seed: manifest.seed }),
      },
    ];
  });
}

/** A table [draw][person]. */
function valuesOf(rows: readonly Row[], metric: Compared): number[][] {
  const sorted = [...rows].sort((a, b) => a.draw - b.draw);
  return sorted.map((row) => row.perIdentity?.[metric] ?? [row[metric]]);
}

function meanAccuracy(rows: readonly Row[]): number {
  return rows.reduce((sum, { accuracy }) => sum + accuracy, 0) / rows.length;
}
