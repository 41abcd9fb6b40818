/** The interface of a fault model, which each other file of this folder implements, and the random sources it is made of. */
import * as v from 'valibot';
import type { ReadTiming } from '../energy.ts';
import { described } from '../fields.ts';

/** When cells can be drawn: once for a chip, once per load, or at every read (as often as the granularity says). */
export const DRAWN = ['chip', 'load', 'read'] as const;
export type Drawn = (typeof DRAWN)[number];

/** The kinds of lines in which faults can lie. */
export type LineKind = 'cache-line' | 'wordline' | 'bitline';

/**
 * Draws cells at random, each independently with the same probability, and says under which conditions a drawn cell fails.
 * A source cannot name a single cell: lines and rows are chosen by a hash of their position.
 */
export interface FaultSource {
  /** Probability that a cell is drawn, 0..1. */
  readonly rate: number;
  readonly drawn: Drawn;
  /** Number that separates the random numbers of sources, 0..127: sources share it only if they draw the same cells. */
  readonly salt: number;
  /** Bits firstBit .. firstBit + bits - 1 of a code can fail; all must lie below the width of the {@link FaultSite}. */
  readonly firstBit: number;
  readonly bits: number;
  /** The cells that can fail, by the bit stored in them. */
  readonly stored: 'any' | 'zero' | 'one';
  /** `flip`: a failing cell reads the wrong value; otherwise the value that it always reads. */
  readonly effect: 'flip' | 'stuck-at-0' | 'stuck-at-1';
  /** If given, cells fail only in lines whose hash, as a fraction of 2^32, lies in from .. to, 0..1. */
  readonly lines?: { readonly kind: LineKind; readonly from: number; readonly to: number };
  /** If given, the faults depend on the bank and row in which a cell lies. */
  readonly zone?: RowZone | BankZone;
  /** Probability that a drawn cell fails in a read, 0..1. */
  readonly failure: number;
}

/** Cells fail only in bad rows. Bad rows are chosen by a hash of their position, which chips do not share. */
export interface RowZone {
  readonly kind: 'rows';
  /** Share of bad rows, 0..1, by bank and by bin of neighbouring rows. */
  readonly shares: readonly (readonly number[])[];
}

/** The probability that a cell is drawn depends on its bank; `rate` of the source is the mean. */
export interface BankZone {
  readonly kind: 'banks';
  /** Probability that a cell of a bank is drawn, 0..1, by bank. */
  readonly rates: readonly number[];
}

/** The memory to which a model is applied. */
export interface FaultSite {
  /** Bits of a code, from the lowest on, that can fail. */
  readonly width: number;
  /** Number of cells of a cache line that can fail. */
  readonly lineCells: number;
  /** Number of the chip or DIMM. */
  readonly chip: number;
  /** True if an error correcting code protects the memory; check bits fail as well, so a source must cover all bits. */
  readonly ecc: boolean;
  /** Path of the model in the configuration, for errors. */
  readonly path: string;
  /** Creates a source with the next salt. By default, all bits can be drawn at every read, and a drawn bit always flips. */
  source(given: Partial<FaultSource> & { readonly rate: number }): FaultSource;
}

/** The functions of a fault model that the engine calls. */
export interface FaultBehaviour<Model extends { readonly kind: string }> {
  /** Value of `kind` that chooses this model in a configuration. */
  readonly kind: Model['kind'];
  /** The sources of faults that make up the model; a cell fails if any of them makes it fail. @throws ConfigError */
  sources(model: Model, site: FaultSite): FaultSource[];
  /** True if faults depend on the address: true where a source has `lines` or a `zone`. By default they do not. */
  needsAddresses?(model: Model): boolean;
  /** True if faults depend on the bank and row, so that `place` of a configuration has an effect: where a source has a `zone`. */
  readonly placed?: boolean;
  /** Supply voltage at which these faults occur, for models that name one. */
  supplyVolts?(model: Model): number;
  /** Name of the measured DIMM that a chip is, for models whose chips are a population of DIMMs; undefined if one is named. */
  dimmOf?(model: Model, chip: number): string | undefined;
  /** Timings of the reads in which these faults occur, for models of early reads. */
  readTiming?(model: Model): ReadTiming;
}

type ModelSchema = v.GenericSchema<unknown, { readonly kind: string }>;

/** One fault model: its schema, from which its type is inferred, and its behaviour. */
export interface FaultModelDefinition<Schema extends ModelSchema> extends FaultBehaviour<v.InferOutput<Schema>> {
  readonly schema: Schema;
}

/** Returns its argument; lets the compiler infer the type of a model from its schema. */
export function defineFaultModel<const Schema extends ModelSchema>(
  definition: FaultModelDefinition<Schema>,
): FaultModelDefinition<Schema> {
  return definition;
}

/** The field `kind` of a model. */
export function kindField<const Kind extends string>(kind: Kind) {
  return described(v.literal(kind), 'Selects this fault model.');
}

/** The field `drawn` of models that can be drawn at any time. */
export const drawnField = v.optional(
  described(
    v.picklist(DRAWN),
    'When failing cells are drawn: once for the chip (chip), once per load (load), or as often as granularity says (read).',
  ),
  'read',
);
