/** The places of a model's tensors in a memory and their faults, neither of which depends on the weights. */
import { ConfigError } from '../errors.ts';
import { roundUp } from '../gpu/arena.ts';
import { type Fetch, fetchOf, retainsCodes16, type StoredTensor } from '../kernels/stored.ts';
import type { ParameterLayout, ParameterSlice } from '../layers/parameters.ts';
import { capacityOf } from '../memory/addresses.ts';
import { BLOCK_CODES, formatBits, storageBitsOf } from '../memory/codec.ts';
import type { ActivationMemory, Granularity, MemoryConfig, StoredMemory } from '../memory/config.ts';
import type { FaultSource } from '../memory/faults/model.ts';
import { faultSources, isUniform } from '../memory/faults.ts';
import { flippedWords } from './chosen_flips.ts';
import { faultWords, zoneTables } from './fault_entry.ts';
import { type FittedFormat, fitFormat } from './ranges.ts';
import { placeTensors, TENSOR_ALIGNMENT } from './zones.ts';

/** Maximum number of loads at granularities `pass` and `inference`, whose reads are numbered across loads. */
export const LOADS = 2 ** 12;

/** Maximum number of activations in approximate memory. */
export const MAX_ACTIVATIONS = 256;

/** The faults in the memory of one layer or activation on one chip. */
export interface PlannedFaults {
  readonly sources: readonly FaultSource[];
  /** Their words in an entry of the fault table, from faultWords. */
  readonly words: Uint32Array<ArrayBuffer>;
  /** The quantile tables of banks, from zoneTables; empty without a source with a zone of banks. */
  readonly tables: Uint32Array<ArrayBuffer>;
}

/** A parameter that a configuration stores in approximate memory. */
export interface PlannedTensor {
  readonly slice: ParameterSlice;
  readonly memory: StoredMemory;
  readonly tensor: StoredTensor;
  /** Offset in the image, in bytes; `size` is in bytes too. */
  readonly offset: number;
  readonly size: number;
  /** True if all its cells fail with the same probability. */
  readonly uniform: boolean;
  /** True if the read of a pass is retained as codes of 16 bits. */
  readonly codes16: boolean;
}

/** The input, or the output of a layer, that a configuration stores in approximate memory. */
export interface PlannedActivation {
  readonly name: string;
  readonly memory: ActivationMemory;
  /** Tensor number in the key of its draws: the FNV-1a hash of the name with bit 31 set, above the numbers of parameters. */
  readonly number: number;
  readonly format: FittedFormat;
  readonly fetch: Fetch;
}

/** The layout and faults that follow from a configuration and a model. */
export interface MemoryPlan {
  /** Stored parameters in the order of the image, each packed in its own format. */
  readonly tensors: readonly PlannedTensor[];
  readonly activations: readonly PlannedActivation[];
  /** Size of the image in bytes. */
  readonly bytes: number;
  /** The faults on the first chip. */
  readonly faults: ChipFaults;
  /** Words of the image in which the configuration inverts bits, and the masks of these bits. */
  readonly flips: readonly (readonly [word: number, mask: number])[];
}

/** The faults in the memories of a configuration on one chip, by the name of the layer or activation. */
export interface ChipFaults {
  readonly chip: number;
  readonly layers: ReadonlyMap<string, PlannedFaults>;
  readonly activations: ReadonlyMap<string, PlannedFaults>;
}

function plannedFaults(memory: StoredMemory, chip: number, config: MemoryConfig, path: string): PlannedFaults {
  const { geometry, granularity } = config;
  const sources = faultSources(memory, chip, path);
  const storageBits = storageBitsOf(formatBits(memory.format));
  const { ecc, inverted } = memory;
  const cells = { sources, storageBits, ecc, inverted, geometry, granularity, where: path };
  return { sources, words: faultWords(cells), tables: zoneTables(cells) };
}

/**
 * Returns the faults of one chip.
 * @throws ConfigError if the chip does not have these faults or an entry of the fault table cannot hold them
 */
export function chipFaults(config: MemoryConfig, chip: number, where = 'memory'): ChipFaults {
  const layers = new Map<string, PlannedFaults>();
  for (const [layer, memory] of Object.entries(config.layers)) {
    if (memory.kind !== 'stored') continue;
    layers.set(layer, plannedFaults(memory, chip, config, `${where}.layers.${layer}`));
  }
  const activations = new Map<string, PlannedFaults>();
  for (const [name, memory] of Object.entries(config.activations)) {
    activations.set(name, plannedFaults(memory, chip, config, `${where}.activations.${name}`));
  }
  return { chip, layers, activations };
}

/**
 * Plans the memory of a configuration for a model of this layout.
 * @param ranges largest magnitudes of the activations whose range the configuration leaves open; 1 by default
 * @throws ConfigError with the path in the configuration if the memory cannot hold the model
 */
export function planMemory(
  config: MemoryConfig,
  layout: ParameterLayout,
  where = 'memory',
  ranges: ReadonlyMap<string, number> = new Map(),
): MemoryPlan {
  const { granularity, chip, geometry } = config;
  for (const [layer, memory] of Object.entries(config.layers)) {
    const path = `${where}.layers.${layer}`;
    const weight = layout.find(`${layer}.weight`);
    if (granularity === 'inference' && weight.rows === 1) {
      throw new ConfigError(
        `${path}: granularity inference needs a layer that multiplies by its weights, not batch normalisation`,
      );
    }
    if (memory.kind !== 'stored') continue;
    if ('scale' in memory.format && memory.format.scale === 'per-channel' && weight.transposed) {
      throw new ConfigError(
        `${path}.format.scale: the rows of a transposed convolution are not its output channels; use per-tensor`,
      );
    }
  }
  if (Object.keys(config.activations).length > MAX_ACTIVATIONS) {
    throw new ConfigError(`${where}.activations: at most ${MAX_ACTIVATIONS} may be stored`);
  }
  const faults = chipFaults(config, chip, where);

  let bytes = 0;
  const tensors: PlannedTensor[] = [];
  for (const slice of layout.slices) {
    const memory = config.layers[slice.layer];
    if (memory?.kind !== 'stored') continue;
    const { index, rows, columns, stride } = slice;
    const { sources } = faults.layers.get(slice.layer)!;
    const blockBytes = (BLOCK_CODES * storageBitsOf(formatBits(memory.format))) / 8;
    const size = (slice.length / BLOCK_CODES) * blockBytes;
    const tensor = { map: index, origin: bytes / blockBytes, rows, columns, stride, fetch: fetchOf(memory, sources) };
    // Only a dense layer's weights have two dimensions; its product decodes codes. A read per load is decoded once.
    const codes16 = granularity === 'pass' && slice.shape.length === 2 && retainsCodes16(memory);
    const uniform = isUniform(sources, memory.ecc);
    tensors.push({ slice, memory, tensor, offset: bytes, size, uniform, codes16 });
    bytes = roundUp(bytes + size, TENSOR_ALIGNMENT);
  }
  const { channels = 1 } = geometry;
  const capacity = capacityOf(geometry);
  if (bytes > capacity) {
    throw new ConfigError(
      `${where}.geometry: ${channels > 1 ? `${channels} channels of ` : ''}${geometry.banks} banks of ${geometry.rows} rows of ${geometry.rowBytes} bytes hold ${capacity} ` +
        `bytes, but the image has ${bytes}`,
    );
  }
  placeTensors(config, tensors, faults, 0, where);
  const activations = Object.entries(config.activations).map(([name, memory]) => ({
    name,
    memory,
    number: activationNumber(name),
    format: fitFormat(memory.format, memory.range ?? ranges.get(name) ?? 1),
    fetch: fetchOf(memory, faults.activations.get(name)!.sources),
  }));
  return { tensors, activations, bytes, faults, flips: flippedWords(config.flips ?? [], tensors, `${where}.flips`) };
}

/** @throws ConfigError if the granularity does not support this many draws */
export function checkDraws(granularity: Granularity, draws: number): void {
  if ((granularity === 'pass' || granularity === 'inference') && draws > LOADS) {
    throw new ConfigError(`draw: ${draws - 1} is not below ${LOADS}, the loads at granularity ${granularity}`);
  }
}

/**
 * Checks that a memory of this configuration can hold a model of this layout for `draws` draws. The check does not depend on
 * the weights.
 * @throws ConfigError with the path in the configuration
 */
export function checkMemory(config: MemoryConfig, layout: ParameterLayout, draws: number, where = 'memory'): void {
  checkDraws(config.granularity, draws);
  const { tensors } = planMemory(config, layout, where);
  // At granularity chip every draw is another chip, which may not have been measured at the voltage, or has fewer good rows.
  if (config.granularity !== 'chip') return;
  for (let draw = 1; draw < draws; draw++) {
    placeTensors(config, tensors, chipFaults(config, config.chip + draw, where), 0, where);
  }
}

function activationNumber(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash | 0x80000000) >>> 0;
}
