/** Answers questions about a condition from its typed fields; labels are for display and are never parsed. */
import { badRows, rowMapOf, rowMapsAt } from '../memory/row_maps.ts';
import { dimmOfChip, isMeasuredVoltage, lineErrorRate } from '../memory/undervolting.ts';
import type { Condition, NoiseCondition } from './schema.ts';

/**
 * The condition's identity: JSON with sorted keys and without `label`. Two rows belong to one condition exactly when
 * their keys are equal, whatever the order their keys were written in.
 */
export function conditionKey(condition: Condition): string {
  const { label: _, ...identity } = condition as Condition & { label?: string };
  return JSON.stringify(canonical(identity));
}

/** The same value with the keys of every object sorted; keys without a value are left out. */
export function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, canonical(inner)]));
}

export function isNoise(condition: Condition): condition is NoiseCondition {
  return condition.kind === 'gaussian' || condition.kind === 'laplacian';
}

/** True if the weights have no errors and no noise. */
export function isErrorFree({ kind }: Condition): boolean {
  return kind === 'none' || kind === 'quantised';
}

/** True for the undefended model: exact weights, and confidences that are released unchanged. */
export function isUndefended({ kind, release }: Condition): boolean {
  return kind === 'none' && release === undefined;
}

/** True if the condition has a change that may hinder an attacker: errors, noise, or changed confidences. */
export function isDefended(condition: Condition): boolean {
  return !isErrorFree(condition) || condition.release !== undefined;
}

/** `conditionKey` of the bit-error condition that noise was matched to; undefined for all other kinds. */
export function matchedTo(condition: Condition): string | undefined {
  return isNoise(condition) ? condition.matchedTo : undefined;
}

/** `conditionKey` of the bit errors to whose accuracy noise was calibrated; undefined for noise with another calibration. */
export function calibratedTo(condition: Condition): string | undefined {
  return isNoise(condition) && condition.calibration === undefined ? condition.matchedTo : undefined;
}

/** True if two conditions release the confidences in the same way. */
export function sameRelease(a: Condition, b: Condition): boolean {
  return JSON.stringify(canonical(a.release)) === JSON.stringify(canonical(b.release));
}

/** The one rate that all named layers share, or undefined where they differ or none is named. */
export function equalRate({ rates }: Condition): number | undefined {
  const values = Object.values(rates);
  return values.length > 0 && values.every((value) => value === values[0]) ? values[0] : undefined;
}

/** A memory that consists of measured DIMMs at a supply voltage. */
export interface MeasuredDimms {
  /** The named DIMM, or the vendor. */
  readonly dimms: string;
  /** Supply voltage, V. */
  readonly volts: number;
  /** The unit whose share with errors was measured. */
  readonly unit: 'lines' | 'rows';
  /** True if a DIMM of them was not measured at this voltage, so that its share is interpolated. */
  readonly interpolated: boolean;
  /** Share of lines or rows with errors, 0..1, of the DIMM of a draw. */
  readonly shareOf: (draw: number) => number;
}

/**
 * The DIMMs of a memory of which every draw is another chip, and all faults of all layers have the same voltage. Undefined for
 * other conditions.
 */
export function measuredDimms(condition: Condition): MeasuredDimms | undefined {
  if (condition.kind !== 'memory' || condition.granularity !== 'chip') return undefined;
  const layers = Object.values(condition.memory.layers);
  const faults = layers.flatMap((layer) => (layer.kind === 'stored' ? layer.faults : []));
  const [first] = faults;
  const { chip } = condition.memory;
  if (!layers.every(({ kind }) => kind === 'stored')) return undefined;
  if (first?.kind === 'voltage') {
    const { vendor, volts, dimm } = first;
    const alike = faults.every(
      (fault) => fault.kind === 'voltage' && fault.vendor === vendor && fault.volts === volts && fault.dimm === dimm,
    );
    if (!alike) return undefined;
    const shareOf = (draw: number) => lineErrorRate(dimmOfChip(vendor, dimm ?? chip + draw), volts);
    const interpolated = !isMeasuredVoltage(vendor, volts);
    return { dimms: vendor, volts, unit: 'lines', interpolated, shareOf };
  }
  if (first?.kind === 'rows') {
    const { volts, dimm } = first;
    const alike = faults.every((fault) => fault.kind === 'rows' && fault.volts === volts && fault.dimm === dimm);
    if (!alike) return undefined;
    const maps = dimm === undefined ? rowMapsAt(volts) : [rowMapOf(dimm, volts)];
    const interpolated = maps.some((map) => map.interpolated);
    const shareOf = (draw: number) => badRows(maps[(chip + draw) % maps.length]);
    return { dimms: dimm ?? 'C', volts, unit: 'rows', interpolated, shareOf };
  }
  return undefined;
}
