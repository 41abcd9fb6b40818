/** The data of the figure that shows a sweep over the supply voltage of measured DIMMs. */
import { attackTitle } from './attacks.ts';
import { canonical, conditionKey, measuredDimms } from './condition.ts';
import { releaseLabel } from './labels.ts';
import type { Condition, Interval, Results } from './schema.ts';
import { shownLift } from './series.ts';

export interface VoltagePoint {
  /** Supply voltage of the weights' memory, V. */
  readonly volts: number;
  /** 0..1. */
  readonly accuracy: Interval;
  /** Interval of the mean PCC of the attack that is shown. */
  readonly pcc: Interval;
  /** Without the mean face, where that was measured. */
  readonly lift: Interval;
  /** Energy of weight reads over that at nominal voltage, 0..1: an upper bound of the saving. */
  readonly energy: number;
  /** Mean share of cache lines, or of rows, with at least one flipped bit, 0..1. */
  readonly badLines: number;
  /** Default: lines. */
  readonly unit?: 'lines' | 'rows';
  /** True if a DIMM among the draws was not measured at this voltage, so that its part of `badLines` is interpolated. */
  readonly interpolated?: boolean;
}

export interface VoltageSeries {
  /** Name in the figure: the attack, and its memory if several were swept. */
  readonly name: string;
  /** Name of the attack in the rows. */
  readonly attack?: string;
  /** In any order. */
  readonly points: readonly VoltagePoint[];
}

/** The key of a condition without its voltage; memories that differ in nothing else have the same key and lie on one line. */
function lineKey(condition: Condition): string {
  if (condition.kind !== 'memory') return '';
  const { label: _label, setting: _setting, volts: _volts, rates: _rates, ...identity } = condition;
  return JSON.stringify(canonical(identity), (key, value: unknown) => (key === 'volts' ? undefined : value));
}

/**
 * A sweep over voltage as series of points, one series per attack and memory; empty where there was none. A series has the
 * title of its attack where the manifest describes it.
 */
export function voltageSeries({
  rows,
  summary,
  manifest,
}: Pick<Results, 'rows' | 'summary'> & { readonly manifest?: Pick<Results['manifest'], 'attacks'> }): VoltageSeries[] {
  interface Line {
    attack: string;
    memory: string;
    points: VoltagePoint[];
  }
  const lines = new Map<string, Line>();
  const metric = shownLift(summary);
  for (const { condition, attack, accuracy, pcc, [metric]: lift } of summary) {
    const dimms = measuredDimms(condition);
    if (dimms === undefined) continue;
    const { volts, unit, interpolated, shareOf } = dimms;
    const key = conditionKey(condition);
    const own = rows.filter((row) => row.attack === attack && conditionKey(row.condition) === key);
    // Every draw is another chip, usually the next DIMM of the vendor; the energy of reads is the same in all of them.
    const draws = [...new Set(own.map((row) => row.draw))];
    const shares = draws.map(shareOf);
    const badLines = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    const energy = own[0]?.energy?.relative ?? Number.NaN;
    const lineName = `${attack}\n${lineKey(condition)}`;
    const memory = [`DRAM ${dimms.dimms}${unit === 'rows' ? ' rows' : ''}`, releaseLabel(condition.release)]
      .filter((part) => part !== undefined)
      .join(', ');
    const line = lines.get(lineName) ?? { attack, memory, points: [] };
    const rest = { ...(interpolated && { interpolated }), ...(unit === 'rows' && { unit }) };
    line.points.push({ volts, accuracy, pcc, lift, energy, badLines, ...rest });
    lines.set(lineName, line);
  }
  const all = [...lines.values()];
  return all.map(({ attack, memory, points }) => {
    const title = attackTitle(manifest?.attacks, attack);
    const alone = all.filter((line) => line.attack === attack).length === 1;
    return { name: alone ? title : `${title}, ${memory}`, attack, points };
  });
}
