/** The fault tables of a model in approximate memory, which the device reads before it fetches a tensor. */
import { type Arena, roundUp } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { FAULT_ENTRY_WORDS } from '../gpu/structs.ts';
import type { ParameterLayout } from '../layers/parameters.ts';
import { BLOCK_CODES, formatBits } from '../memory/codec.ts';
import type { MemoryConfig } from '../memory/config.ts';
import { type Key, tensorKey } from '../memory/fault_sampler.ts';
import { writeDraw, writeFaults, writeScale, writeZones, zoneExtent } from './fault_entry.ts';
import { type ChipFaults, MAX_ACTIVATIONS, type MemoryPlan } from './placement.ts';
import type { FittedFormat } from './ranges.ts';
import { mostUnits, type PlacedTensors } from './zones.ts';

/** The shape of one block, in which activations are stored: their layout changes with every read. */
const BLOCK = { rows: 1, columns: BLOCK_CODES, stride: BLOCK_CODES };

/** The fields in which one draw differs from another. */
export interface TableDraw {
  readonly chip: number;
  /** Key of the chip, computed by deviceKey. */
  readonly device: Key;
  readonly load: number;
  /** Number of the load's first read. */
  readonly read: number;
}

/** Two tables: one with the parameters by index, one with the activations in the order of the configuration. */
export class FaultTable {
  readonly activations: BufferView;
  #parameters: BufferView;
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #layout: ParameterLayout;
  #words: Uint32Array<ArrayBuffer>;
  readonly #activationWords = new Uint32Array(FAULT_ENTRY_WORDS * MAX_ACTIVATIONS);
  /** For each parameter, the word at which the scales of its rows begin. */
  readonly #rowScales: readonly number[];
  /** Words of the entries and scales; zones lie behind. */
  readonly #fixedWords: number;
  /** The words at which the zones of parameters begin, by name. */
  readonly #zones = new Map<string, number>();

  constructor(arena: Arena, layout: ParameterLayout) {
    let words = layout.slices.length * FAULT_ENTRY_WORDS;
    this.#rowScales = layout.slices.map(({ rows }) => {
      const at = words;
      words += 2 * roundUp(rows, 4);
      return at;
    });
    this.#gpu = arena.gpu;
    this.#arena = arena;
    this.#fixedWords = words;
    this.#layout = layout;
    this.#words = new Uint32Array(words);
    this.#parameters = arena.allocate('fault table', words * 4);
    this.activations = arena.allocate('fault table of activations', this.#activationWords.byteLength);
  }

  /** The table of the parameters, another buffer after a `configure` that needs more room. */
  get parameters(): BufferView {
    return this.#parameters;
  }

  /**
   * Writes all fields that do not change with a draw. `upload` must follow.
   * @param formats fitted formats of the stored parameters, by name
   */
  configure(config: MemoryConfig, plan: MemoryPlan, formats: ReadonlyMap<string, FittedFormat>): void {
    const { granularity } = config;
    for (const { index, name, layer, rows } of this.#layout.slices) {
      this.#words.fill(0, index * FAULT_ENTRY_WORDS, (index + 1) * FAULT_ENTRY_WORDS);
      const memory = config.layers[layer];
      if (!memory) continue;
      if (memory.kind !== 'stored') {
        writeScale(this.#words, index, { granularity, scale: memory.scale, inverse: 0, bits: 0 });
        continue;
      }
      const format = formats.get(name)!;
      const rowScales = this.#rowScales[index];
      writeScale(this.#words, index, { granularity, ...format, bits: formatBits(memory.format), rowScales });
      const pairs = new Float32Array(this.#words.buffer, rowScales * 4, 2 * roundUp(rows, 4));
      for (let row = 0; row < pairs.length / 2; row++) {
        const { scale, inverse } = format.rows?.[row] ?? format;
        pairs.set([scale, inverse], 2 * row);
      }
    }
    this.#reserveZones(config, plan);
    for (const [entry, { format }] of plan.activations.entries()) {
      writeScale(this.#activationWords, entry, { granularity, ...format, bits: format.codec.bits });
    }
    this.setFaults(plan, plan.faults);
  }

  /** Finds room for the zones of all tensors on any chip, and moves to a larger buffer if they need it. */
  #reserveZones(config: MemoryConfig, { tensors, faults }: MemoryPlan): void {
    this.#zones.clear();
    let words = this.#fixedWords;
    for (const { slice, size } of tensors) {
      const { sources, tables } = faults.layers.get(slice.layer)!;
      if (!sources.some(({ zone }) => zone)) continue;
      this.#zones.set(slice.name, words);
      words += zoneExtent(tables, mostUnits(config, size));
    }
    if (words <= this.#words.length) return;
    const before = this.#words;
    this.#words = new Uint32Array(words);
    this.#words.set(before);
    this.#parameters = this.#arena.allocate('fault table', words * 4);
  }

  /** Writes the faults of a chip; `draw` or `upload` must follow. */
  setFaults(plan: MemoryPlan, { layers, activations }: ChipFaults): void {
    for (const { slice } of plan.tensors) writeFaults(this.#words, slice.index, layers.get(slice.layer)!.words, slice);
    for (const [entry, { name }] of plan.activations.entries()) {
      writeFaults(this.#activationWords, entry, activations.get(name)!.words, BLOCK);
    }
  }

  /** Writes the places of a draw, after the faults of its chip; `draw` or `upload` must follow. */
  setZones(plan: MemoryPlan, { layers }: ChipFaults, placed: PlacedTensors): void {
    for (const { slice } of plan.tensors) {
      const at = this.#zones.get(slice.name);
      if (at === undefined) continue;
      const { sources, words, tables } = layers.get(slice.layer)!;
      writeFaults(this.#words, slice.index, words, slice);
      writeZones(this.#words, slice.index, sources, { tables, zones: placed.zonesOf(slice.name)!, at });
    }
  }

  /** Writes the fields that change with a draw, and uploads both tables to the device. */
  draw(seed: number, plan: MemoryPlan, draw: TableDraw): void {
    for (const { index } of this.#layout.slices) {
      writeDraw(this.#words, index, { ...draw, key: tensorKey(seed, draw.chip, index) });
    }
    for (const [entry, { number }] of plan.activations.entries()) {
      writeDraw(this.#activationWords, entry, { ...draw, key: tensorKey(seed, draw.chip, number) });
    }
    this.upload();
  }

  /** Copies both tables to the device. */
  upload(): void {
    this.#gpu.write(this.parameters, this.#words);
    this.#gpu.write(this.activations, this.#activationWords);
  }
}
