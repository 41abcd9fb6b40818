/**
 * Error models as sources of faults. A source draws cells, each independently with one probability, and says under which
 * conditions a drawn cell fails; every model of config.ts is a few of them, and a cell fails if any of them fails it.
 * The device reads sources from the table of maps (shaders/memory/map.wgsl).
 */
import { ConfigError } from '../errors.ts';
import { formatBits, type Slot, slotOf } from './codec.ts';
import type { Ecc, FaultModel, StoredMemory } from './config.ts';
import { SRAM_CHIPS } from './sram_chips.ts';
import { dimmOfChip, lineErrorRate } from './undervolting.ts';

/** When the cells of a source are drawn: once for a chip, once a load, or with every read as the granularity says. */
export type Drawn = 'chip' | 'load' | 'read';

export interface FaultSource {
  /** Probability that a cell is drawn, 0..1. */
  readonly rate: number;
  readonly drawn: Drawn;
  /** Sets the numbers of sources apart, 0..127: of one salt are only sources that draw the same cells. */
  readonly salt: number;
  /** Bits firstBit .. firstBit + bits - 1 of a code can fail. */
  readonly firstBit: number;
  readonly bits: number;
  /** Which cells can fail, by what is stored in them. */
  readonly stored: 'any' | 'zero' | 'one';
  /** `flip`: a failing cell reads the wrong value; otherwise what it always reads. */
  readonly effect: 'flip' | 'stuck-at-0' | 'stuck-at-1';
  /** Only in lines whose hash, as a fraction of 2^32, lies in from .. to, 0..1. */
  readonly lines?: { readonly kind: 'cache-line' | 'wordline' | 'bitline'; readonly from: number; readonly to: number };
  /** Probability that a drawn cell fails in a read, 0..1. */
  readonly failure: number;
}

/** How many cells a block of 16 codes has for a source; `check` with the check bits of a SECDED code, an eighth more. */
export function sourceCells(source: Pick<FaultSource, 'bits'>, slot: Slot, check: boolean): number {
  return 16 * source.bits + (check ? 2 * slot : 0);
}

/**
 * The sources of a layer's memory, those that are scrubbed on load first and stuck cells last.
 * @param chip which specimen: voltage models take the DIMM of that number
 * @throws ConfigError for a voltage outside the table, more bits protected than there are, and models that ECC has no place for
 */
export function faultSources(memory: StoredMemory, chip: number, where = 'memory'): FaultSource[] {
  const bits = formatBits(memory.format);
  const { ecc, protectedBits } = memory;
  if (protectedBits > bits) throw new ConfigError(`${where}.protectedBits: ${protectedBits} of ${bits} bits`);
  if (ecc && protectedBits > 0) {
    throw new ConfigError(`${where}.protectedBits: bits in another memory are in no code word; use them or ecc`);
  }
  // With ECC the whole slot is in the code word, and what of it no code uses can fail as well.
  const width = ecc ? slotOf(bits) : bits - protectedBits;
  let salt = 0;
  const whole = { firstBit: 0, bits: width, stored: 'any', effect: 'flip', failure: 1, drawn: 'read' } as const;
  const sources = memory.faults.flatMap((model, i): FaultSource[] => {
    const path = `${where}.faults.${i}`;
    const next = (source: Partial<FaultSource> & { rate: number }): FaultSource => ({
      ...whole,
      salt: salt++,
      ...source,
    });
    // Of the 64 bytes of a cache line, those that are cells of codes, and with ECC a bit of check for every eight.
    const lineCells = (512 * width) / slotOf(bits) + (ecc ? 64 : 0);
    return modelSources(model, next, { width, lineCells, chip, path, ecc: ecc !== undefined });
  });
  if (salt > 128) throw new ConfigError(`${where}.faults: ${salt} sources of faults, at most 128`);
  const order = (source: FaultSource) =>
    ecc?.scrub && source.drawn === 'load' && source.effect === 'flip' ? 0 : source.effect === 'flip' ? 1 : 2;
  return sources.filter(({ bits: width }) => width > 0).sort((a, b) => order(a) - order(b));
}

/** How many of the first sources are scrubbed on load. */
export function scrubbedCount(sources: readonly FaultSource[], ecc: Ecc | undefined): number {
  return ecc?.scrub ? sources.filter(({ drawn, effect }) => drawn === 'load' && effect === 'flip').length : 0;
}

/** One source that fails all bits of a code alike and whatever they store, uncorrected: what the fast kernels draw. */
export function isUniform(sources: readonly FaultSource[], ecc: Ecc | undefined): boolean {
  if (sources.length !== 1 || ecc) return false;
  const [{ drawn, salt, firstBit, stored, effect, lines, failure }] = sources;
  return (
    drawn === 'read' && salt === 0 && firstBit === 0 && stored === 'any' && effect === 'flip' && !lines && failure === 1
  );
}

function modelSources(
  model: FaultModel,
  next: (source: Partial<FaultSource> & { rate: number }) => FaultSource,
  { width, lineCells, chip, path, ecc }: { width: number; lineCells: number; chip: number; path: string; ecc: boolean },
): FaultSource[] {
  switch (model.kind) {
    case 'uniform':
      return [next({ rate: model.bitErrorRate, drawn: model.drawn })];
    case 'asymmetric':
      return [
        next({ rate: model.zeroToOne, stored: 'zero', drawn: model.drawn }),
        next({ rate: model.oneToZero, stored: 'one', drawn: model.drawn }),
      ];
    case 'stuck-at':
      return [
        next({ rate: model.zero, drawn: 'chip', effect: 'stuck-at-0' }),
        next({ rate: model.one, drawn: 'chip', effect: 'stuck-at-1' }),
      ];
    case 'bit-plane':
      if (ecc) throw new ConfigError(`${path}: check bits have no bit plane; use ecc with another model`);
      if (model.rates.length > width)
        throw new ConfigError(`${path}.rates: ${model.rates.length} rates for ${width} bits`);
      return model.rates.map((rate, firstBit) => next({ rate, firstBit, bits: 1, drawn: model.drawn }));
    case 'eden':
      return edenSources(model, next, path);
    case 'clustered':
      return [clustered(model.lines, lineCells, next({ rate: model.bitErrorRate, drawn: model.drawn }), path)];
    case 'voltage': {
      const lines = lineErrorRate(dimmOfChip(model.vendor, chip), model.volts, `${path}.volts`);
      return [clustered(lines, lineCells, next({ rate: model.bitErrorRate, drawn: model.drawn }), path)];
    }
    case 'sram-chip': {
      const { zeroToOne, oneToZero, stuck } = SRAM_CHIPS[model.profile];
      // What of the faulty cells fails in every read lies in the chip; the rest is drawn with the reads.
      const persistent = stuck / (zeroToOne + oneToZero);
      return (['chip', 'read'] as const).flatMap((drawn) => {
        const share = drawn === 'chip' ? persistent : 1 - persistent;
        return [
          next({ rate: zeroToOne * share, stored: 'zero', drawn }),
          next({ rate: oneToZero * share, stored: 'one', drawn }),
        ];
      });
    }
  }
}

function edenSources(
  model: Extract<FaultModel, { kind: 'eden' }>,
  next: (source: Partial<FaultSource> & { rate: number }) => FaultSource,
  path: string,
): FaultSource[] {
  switch (model.model) {
    case 'EM0':
      return [next({ rate: model.weakCells, failure: model.failure, drawn: 'chip' })];
    case 'EM1':
    case 'EM2': {
      const kind = model.model === 'EM1' ? 'bitline' : 'wordline';
      let from = 0;
      return model.lines.map(({ share, weakCells, failure }) => {
        const lines = { kind, from, to: from + share } as const;
        from += share;
        if (from > 1 + 1e-9) throw new ConfigError(`${path}.lines: the shares add up to more than 1`);
        return next({ rate: weakCells, failure, drawn: 'chip', lines });
      });
    }
    case 'EM3': {
      // One set of weak cells, whose chance to fail depends on what they store.
      const ones = next({ rate: model.weakCells, failure: model.failureOfOnes, stored: 'one', drawn: 'chip' });
      return [ones, { ...ones, failure: model.failureOfZeros, stored: 'zero' }];
    }
  }
}

/** @param lines share of cache lines with at least one flipped bit. @param cells of a line that can fail */
function clustered(lines: number, cells: number, source: FaultSource, path: string): FaultSource {
  const { rate } = source;
  const shown = 1 - (1 - rate) ** cells;
  const share = lines === 0 ? 0 : lines / shown;
  if (!(share <= 1)) {
    throw new ConfigError(
      `${path}.bitErrorRate: at ${rate} in a bad line at most ${(100 * shown).toPrecision(3)} % of lines show an error, ` +
        `not ${(100 * lines).toPrecision(3)} %; use a higher rate`,
    );
  }
  return { ...source, lines: { kind: 'cache-line', from: 0, to: share } };
}

/**
 * Share of a layer's stored bits that one read returns wrong, 0..1, before any correction: where a model asks for what is
 * stored, half of the bits are taken to be ones. Of cells that several sources fail, all but one are counted too many.
 */
export function meanErrorRate(memory: StoredMemory, chip: number, where: string): number {
  const bits = formatBits(memory.format);
  return faultSources(memory, chip, where).reduce((sum, { rate, bits: width, stored, effect, lines, failure }) => {
    const cells = (Math.min(width, bits) / bits) * (stored === 'any' && effect === 'flip' ? 1 : 0.5);
    return sum + rate * failure * cells * (lines ? lines.to - lines.from : 1);
  }, 0);
}
