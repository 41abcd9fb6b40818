/**
 * The sources of faults of a layer's memory. Every fault model (faults/registry.ts) consists of one or more sources, and a
 * cell fails if any source makes it fail. The device reads sources from the fault table (src/gpu/structs.ts).
 */
import { ConfigError } from '../errors.ts';
import { formatBits, type StorageBits, storageBitsOf } from './codec.ts';
import type { Ecc, LayerMemory, StoredMemory } from './config.ts';
import { DDR3_1600, NOMINAL_VOLTS, type ReadTiming } from './energy.ts';
import type { FaultSource } from './faults/model.ts';
import { behaviourOf } from './faults/registry.ts';
import { reorderedSources } from './stored_bits.ts';

export type { Drawn, FaultSource } from './faults/model.ts';

/**
 * The number of cells that a source can fail in a block of 16 codes.
 * @param check true to add the check bits of a SECDED code, one for every eight bits of memory
 */
export function sourceCells(source: Pick<FaultSource, 'bits'>, storageBits: StorageBits, check: boolean): number {
  return 16 * source.bits + (check ? 2 * storageBits : 0);
}

/** Number of the lowest bits of a code that can fail. With ECC all bits that a code takes in memory are in the code word. */
export function failingBits({ format, ecc, protectedBits }: StoredMemory): number {
  const bits = formatBits(format);
  return ecc ? storageBitsOf(bits) : bits - protectedBits;
}

/**
 * The sources of faults of a layer's memory: sources that are scrubbed on load come first, stuck cells last.
 * @param chip number of the chip; voltage models take the DIMM of that number
 * @throws ConfigError for a voltage outside the measured range, more protected bits than a code has, and models that cannot
 *   be combined with ECC
 */
export function faultSources(memory: StoredMemory, chip: number, where = 'memory'): FaultSource[] {
  const bits = formatBits(memory.format);
  const { ecc, protectedBits } = memory;
  if (protectedBits > bits) {
    throw new ConfigError(`${where}.protectedBits: ${protectedBits} bits, but a code has only ${bits}`);
  }
  if (ecc && protectedBits > 0) {
    throw new ConfigError(
      `${where}.protectedBits: protected bits are in no code word; use either protectedBits or ecc`,
    );
  }
  const width = failingBits(memory);
  let salt = 0;
  const whole = { firstBit: 0, bits: width, stored: 'any', effect: 'flip', failure: 1, drawn: 'read' } as const;
  // Cells of codes among the 64 bytes of a cache line, and with ECC one check bit for every eight bits.
  const lineCells = (512 * width) / storageBitsOf(bits) + (ecc ? 64 : 0);
  const sources = memory.faults.flatMap((model, i) => {
    const path = `${where}.faults.${i}`;
    const behaviour = behaviourOf(model);
    const made = behaviour.sources(model, {
      width,
      lineCells,
      chip,
      ecc: ecc !== undefined,
      path,
      source: (given) => ({ ...whole, salt: salt++, ...given }),
    });
    for (const { firstBit, bits: count, lines, zone } of made) {
      if (firstBit + count > width) {
        throw new ConfigError(
          `${path}: the model fails bit ${firstBit + count - 1}, but only ${width} bits of a code can fail`,
        );
      }
      if ((lines || zone) && !behaviour.needsAddresses?.(model)) {
        throw new Error(`the fault model ${model.kind} has lines or zones, so its needsAddresses must return true`);
      }
    }
    return made;
  });
  if (salt > 128) throw new ConfigError(`${where}.faults: the models need ${salt} sources of faults, at most 128 fit`);
  const order = (source: FaultSource) =>
    ecc?.scrub && source.drawn === 'load' && source.effect === 'flip' ? 0 : source.effect === 'flip' ? 1 : 2;
  const placed = memory.reordered ? reorderedSources(sources, memory.format, width, where) : sources;
  return placed.filter(({ bits: width }) => width > 0).sort((a, b) => order(a) - order(b));
}

/** The number of leading sources that are scrubbed on load. */
export function scrubbedCount(sources: readonly FaultSource[], ecc: Ecc | undefined): number {
  return ecc?.scrub ? sources.filter(({ drawn, effect }) => drawn === 'load' && effect === 'flip').length : 0;
}

/**
 * True if a single source flips all its bits with the same probability, whatever they store, at every read, and nothing
 * corrects them: the case that the fast kernels handle.
 */
export function isUniform(sources: readonly FaultSource[], ecc: Ecc | undefined): boolean {
  if (sources.length !== 1 || ecc) return false;
  const [{ drawn, salt, firstBit, stored, effect, lines, zone, failure }] = sources;
  const everywhere = !lines && !zone;
  return (
    drawn === 'read' &&
    salt === 0 &&
    firstBit === 0 &&
    stored === 'any' &&
    effect === 'flip' &&
    everywhere &&
    failure === 1
  );
}

/**
 * Expected share of a layer's stored bits that one read returns wrong, 0..1, before any correction. Where a model depends on
 * the stored value, half of the bits are assumed to be ones. Several models are assumed to fail bits independently, and a bit
 * that two of them fail is wrong once. Where faults depend on the bank and row, it is the mean over the whole memory.
 *
 * @throws ConfigError as {@link faultSources}
 */
export function meanErrorRate(memory: StoredMemory, chip: number, where: string): number {
  const bits = formatBits(memory.format);
  const shareOf = ({ rate, bits: width, stored, effect, lines, zone, failure }: FaultSource) => {
    const cells = (Math.min(width, bits) / bits) * (stored === 'any' && effect === 'flip' ? 1 : 0.5);
    const rows = zone?.kind === 'rows' ? zone.shares.flat() : [1];
    const badRows = rows.reduce((sum, share) => sum + share, 0) / rows.length;
    return rate * failure * cells * (lines ? lines.to - lines.from : 1) * badRows;
  };
  // The path of an error needs the place of its model among all models.
  faultSources(memory, chip, where);
  return memory.faults.reduce((failed, model) => {
    // The shares of one model add up: its sources fail bits of different values, places or lines.
    const own = faultSources({ ...memory, faults: [model] }, chip, where).reduce((sum, each) => sum + shareOf(each), 0);
    return failed + own * (1 - failed);
  }, 0);
}

/** Supply voltage at which a layer's memory is read: the lowest that a fault model names, nominal if none does. */
export function supplyVolts(memory: LayerMemory): number {
  const models = memory.kind === 'stored' ? memory.faults : [];
  return Math.min(NOMINAL_VOLTS, ...models.map((model) => behaviourOf(model).supplyVolts?.(model) ?? NOMINAL_VOLTS));
}

/** Timings at which a layer's memory is read: the shortest that its fault models name, otherwise the standard ones. */
export function readTiming(memory: LayerMemory): Required<ReadTiming> {
  const models = memory.kind === 'stored' ? memory.faults : [];
  const timings = models.map((model) => behaviourOf(model).readTiming?.(model) ?? {});
  const least = (name: keyof ReadTiming) => Math.min(DDR3_1600[name], ...timings.map((each) => each[name] ?? Infinity));
  return { tRCD: least('tRCD'), tRP: least('tRP') };
}

/** The measured DIMM that the memory of all layers is in a draw; undefined if any part of it is no DIMM, or another one. */
export function dimmOfDraw(layers: Readonly<Record<string, LayerMemory>>, chip: number): string | undefined {
  const models = Object.values(layers).flatMap((memory) => (memory.kind === 'stored' ? memory.faults : []));
  const dimms = new Set(models.map((model) => behaviourOf(model).dimmOf?.(model, chip)));
  return dimms.size === 1 ? [...dimms][0] : undefined;
}
