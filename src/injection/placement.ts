/** The places of a model's tensors in a memory, and the faults there: everything that does not depend on the weights. */
import { ConfigError } from '../errors.ts';
import { roundUp } from '../gpu/arena.ts';
import { type Fetch, fetchOf, retainsCodes16, type StoredTensor } from '../kernels/stored.ts';
import type { ParameterLayout, ParameterSlice } from '../layers/parameters.ts';
import { BLOCK_CODES, formatBits, storageBitsOf } from '../memory/codec.ts';
import type { ActivationMemory, Granularity, MemoryConfig, StoredMemory } from '../memory/config.ts';
import type { FaultSource } from '../memory/faults/model.ts';
import { faultSources, isUniform } from '../memory/faults.ts';
import { faultWords } from './fault_entry.ts';
import { type FittedFormat, fitFormat } from './ranges.ts';

/** Loads at granularities `pass` and `inference`, whose reads are numbered across loads. */
export const LOADS = 2 ** 12;

/** How many activations may lie in approximate memory. */
export const MAX_ACTIVATIONS = 16;

/** Tensors start on so many bytes of the image. */
const TENSOR_ALIGNMENT = 256;

/** The faults in a memory of one chip. */
export interface PlannedFaults {
  readonly sources: readonly FaultSource[];
  /** From faultWords. */
  readonly words: Uint32Array<ArrayBuffer>;
}

/** A tensor as a configuration stores it. */
export interface PlannedTensor {
  readonly slice: ParameterSlice;
  readonly memory: StoredMemory;
  readonly tensor: StoredTensor;
  /** Its offset in the image in bytes. */
  readonly offset: number;
  readonly size: number;
  /** True if all its cells fail alike. */
  readonly uniform: boolean;
  /** True if a pass retains what it read as codes of 16 bits. */
  readonly codes16: boolean;
}

/** The input, or the output of a layer, as a configuration stores it. */
export interface PlannedActivation {
  readonly name: string;
  readonly memory: ActivationMemory;
  /** The tensor number that keys its draws: of its name (FNV-1a), above those of parameters. */
  readonly number: number;
  readonly format: FittedFormat;
  readonly fetch: Fetch;
}

/** A configuration, worked out once. */
export interface MemoryPlan {
  /** One behind the other in the image, each packed in its own format. */
  readonly tensors: readonly PlannedTensor[];
  readonly activations: readonly PlannedActivation[];
  /** Bytes of the image. */
  readonly bytes: number;
  /** The faults in a layer's memory on the first chip, by the name of the layer or of the activation. */
  readonly faults: ChipFaults;
}

/** The faults in the memories of a configuration, on one chip. */
export interface ChipFaults {
  readonly chip: number;
  readonly layers: ReadonlyMap<string, PlannedFaults>;
  readonly activations: ReadonlyMap<string, PlannedFaults>;
}

function plannedFaults(memory: StoredMemory, chip: number, config: MemoryConfig, path: string): PlannedFaults {
  const { geometry, granularity } = config;
  const sources = faultSources(memory, chip, path);
  const storageBits = storageBitsOf(formatBits(memory.format));
  return { sources, words: faultWords({ sources, storageBits, ecc: memory.ecc, geometry, granularity, where: path }) };
}

/** @throws ConfigError for faults that the chip does not have or that an entry of the fault table does not hold */
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

/** @throws ConfigError with the path in the configuration, where a model of this layout cannot lie in such a memory */
export function planMemory(config: MemoryConfig, layout: ParameterLayout, where = 'memory'): MemoryPlan {
  const { granularity, chip, geometry } = config;
  for (const [layer, memory] of Object.entries(config.layers)) {
    const path = `${where}.layers.${layer}`;
    const weight = layout.find(`${layer}.weight`);
    if (granularity === 'inference' && weight.rows === 1) {
      throw new ConfigError(`${path}: granularity inference needs a layer with products, not a vector`);
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
    // A matrix is a dense layer's weights: its product decodes them. What is read once per load is decoded once.
    const codes16 = granularity === 'pass' && slice.shape.length === 2 && retainsCodes16(memory);
    const uniform = isUniform(sources, memory.ecc);
    tensors.push({ slice, memory, tensor, offset: bytes, size, uniform, codes16 });
    bytes = roundUp(bytes + size, TENSOR_ALIGNMENT);
  }
  const capacity = geometry.banks * geometry.rows * geometry.rowBytes;
  if (bytes > capacity) {
    throw new ConfigError(
      `${where}.geometry: ${geometry.banks} banks of ${geometry.rows} rows of ${geometry.rowBytes} bytes hold ${capacity} ` +
        `bytes, the image has ${bytes}`,
    );
  }
  const activations = Object.entries(config.activations).map(([name, memory]) => ({
    name,
    memory,
    number: activationNumber(name),
    format: fitFormat(memory.format, memory.range ?? 1),
    fetch: fetchOf(memory, faults.activations.get(name)!.sources),
  }));
  return { tensors, activations, bytes, faults };
}

/** @throws ConfigError for more draws than the granularity numbers */
export function checkDraws(granularity: Granularity, draws: number): void {
  if ((granularity === 'pass' || granularity === 'inference') && draws > LOADS) {
    throw new ConfigError(`draw: ${draws - 1} is not below ${LOADS}, the loads at granularity ${granularity}`);
  }
}

/**
 * Checks that a memory of this configuration can hold a model of this layout for so many draws, as far as that does not depend
 * on the weights.
 * @throws ConfigError with the path in the configuration
 */
export function checkMemory(config: MemoryConfig, layout: ParameterLayout, draws: number, where = 'memory'): void {
  checkDraws(config.granularity, draws);
  planMemory(config, layout, where);
  // At granularity chip every draw is another specimen, which may not have been measured at a voltage.
  if (config.granularity !== 'chip') return;
  for (let draw = 1; draw < draws; draw++) chipFaults(config, config.chip + draw, where);
}

function activationNumber(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash | 0x80000000) >>> 0;
}
