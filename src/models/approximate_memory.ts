import { ConfigError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import type { BufferView, Gpu } from '../gpu/device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import type { StoredTensor } from '../kernels/gemm.ts';
import { recordEncode, recordMaterialise } from '../kernels/memory.ts';
import { MAX_ABS_SCRATCH_BYTES, recordMaxAbs } from '../kernels/reduce.ts';
import type { LayerWeights } from '../layers/layer.ts';
import { FlatParameters, type ParameterSlice } from '../layers/parameters.ts';
import type { LayerMemory, MemoryConfig } from '../memory/config.ts';
import { flipTable, MAP_WORDS, tensorKey } from '../memory/fault_map.ts';
import { BLOCK_CODES, fixedExponent } from '../memory/fixed_point.ts';
import { flipVariance } from '../memory/noise.ts';
import { plainWeights } from './stack.ts';

/** Reads of one load are numbered from a base of its own, so that two loads never share a pass: 2^32 in all. */
const PASSES = 2 ** 20;
const LOADS = 2 ** 12;
const MAP_GRANULARITY = { chip: 0, load: 0, pass: 1, inference: 2 } as const;

/**
 * A trained model's parameters in approximate memory. Encodes them into a memory image, and hands layers their weights
 * under a configuration: layers it does not name are exact. One object serves a whole sweep: `configure` changes what the
 * memory is, `load` draws the next map.
 *
 * The materialised path keeps what a read returned in `fetched`, which has the layout of the parameters; programs that
 * read `fetched` need not be recorded again when rates, layers or draws change.
 */
export class ApproximateMemory {
  readonly fetched: FlatParameters;
  /** Max |w| and max w of every parameter, as measured when the model was stored. */
  readonly #largest: readonly { absolute: number; raw: number }[];
  readonly #gpu: Gpu;
  readonly #parameters: FlatParameters;
  readonly #codes: BufferView;
  readonly #maps: BufferView;
  readonly #mapWords: Uint32Array<ArrayBuffer>;
  readonly #mapFloats: Float32Array<ArrayBuffer>;
  readonly #programs = new Map<string, Promise<Program>>();
  #config: MemoryConfig | undefined;
  #encoded = '';

  private constructor(arena: Arena, parameters: FlatParameters, largest: { absolute: number; raw: number }[]) {
    const { layout } = parameters;
    this.#gpu = arena.gpu;
    this.#parameters = parameters;
    this.#largest = largest;
    this.fetched = new FlatParameters(arena, 'fetched parameters', layout);
    this.#codes = arena.allocate('memory image', layout.length * 2);
    this.#maps = arena.allocate('fault maps', layout.slices.length * MAP_WORDS * 4);
    this.#mapWords = new Uint32Array(layout.slices.length * MAP_WORDS);
    this.#mapFloats = new Float32Array(this.#mapWords.buffer);
  }

  /** Measures the ranges that number formats are fitted to, once. @throws DeviceLostError */
  static async store(arena: Arena, parameters: FlatParameters): Promise<ApproximateMemory> {
    const { gpu } = arena;
    const { slices } = parameters.layout;
    const work = new Arena(gpu);
    const recorder = new Recorder(gpu);
    const scratch = work.allocate('max abs scratch', MAX_ABS_SCRATCH_BYTES);
    const ranges = slices.map(({ name }) => {
      const output = work.allocate(`${name} range`, 8);
      recordMaxAbs(recorder, { input: parameters.matrix(name), scratch, output });
      return { ...output, size: 8 };
    });
    (await recorder.build('ranges')).run();
    const results = await gpu.read(...ranges);
    work.destroy();
    const largest = results.map((bytes) => {
      const [absolute, raw] = new Float32Array(bytes);
      return { absolute, raw };
    });
    return new ApproximateMemory(arena, parameters, largest);
  }

  /** What was stored, before any error. */
  get exact(): FlatParameters {
    return this.#parameters;
  }

  get config(): MemoryConfig {
    if (!this.#config) throw new Error('configure the memory first');
    return this.#config;
  }

  /** Whether the layer's weights are fetched inside the products that use them; those of batch normalisation never are. */
  fused(layer: string): boolean {
    const { layers, path, granularity } = this.config;
    if (this.#parameters.layout.find(`${layer}.weight`).rows === 1) return false;
    return layers[layer]?.kind === 'uniform' && (path === 'fused' || granularity === 'inference');
  }

  /** Changes what the memory is; encodes again where the format changed. `load` must follow. @throws ConfigError, DeviceLostError */
  async configure(config: MemoryConfig): Promise<void> {
    this.#config = config;
    const { layout } = this.#parameters;
    for (const layer of Object.keys(config.layers)) {
      if (config.granularity === 'inference' && !this.fused(layer)) {
        throw new ConfigError(
          `memory.layers.${layer}: granularity inference needs a layer with products, not a vector`,
        );
      }
    }
    for (const slice of layout.slices) this.#fillMap(slice, config.layers[slice.layer]);
    this.#gpu.write(this.#maps, this.#mapWords);
    const stored = this.#slices('uniform');
    const formats = JSON.stringify(
      stored.map(({ name, layer }) => [name, (config.layers[layer] as { format?: unknown }).format]),
    );
    if (stored.length > 0 && this.#encoded !== formats) {
      (await this.#program(`encode ${formats}`, (recorder) => this.#recordEncode(recorder, stored))).run();
      this.#encoded = formats;
    }
  }

  /**
   * Draws map `draw`: another chip at granularity `chip`, another load at the others. Layers that are materialised once a
   * load are read here; exact layers are copied.
   */
  async load(draw: number): Promise<void> {
    const { seed, chip, granularity, layers } = this.config;
    if (granularity !== 'chip' && granularity !== 'load' && !(draw < LOADS)) {
      throw new ConfigError(`draw: ${draw} is not below ${LOADS}, the loads at granularity ${granularity}`);
    }
    for (const { index } of this.#parameters.layout.slices) {
      const at = index * MAP_WORDS;
      const key = tensorKey(seed, granularity === 'chip' ? chip + draw : chip, index);
      this.#mapWords.set(key, at);
      this.#mapWords[at + 2] = granularity === 'chip' ? 0 : granularity === 'load' ? draw : draw * PASSES;
    }
    this.#gpu.write(this.#maps, this.#mapWords);
    const encoder = this.#gpu.device.createCommandEncoder({ label: 'exact layers' });
    const { slices } = this.#parameters.layout;
    for (const { layer, offset, length } of slices) {
      if (layers[layer]) continue;
      encoder.copyBufferToBuffer(
        this.#parameters.view.buffer,
        offset * 4,
        this.fetched.view.buffer,
        offset * 4,
        length * 4,
      );
    }
    this.#gpu.submit(encoder);
    if (granularity === 'chip' || granularity === 'load') {
      const names = slices.map(({ layer }) => (this.fused(layer) ? 'fused' : (layers[layer]?.kind ?? 'exact')));
      (await this.#program(`load ${names}`, (recorder) => this.#recordMaterialise(recorder, 0))).run();
    }
  }

  /**
   * Records the reads that open a forward pass (`passOffset` 0) or the backward pass after it (1): at granularity `pass`
   * every materialised layer is fetched again; otherwise nothing. The step's `pass_index` advances by 2 a forward and
   * backward pair.
   */
  recordPass(recorder: Recorder, passOffset: number): void {
    if (this.config.granularity === 'pass') this.#recordMaterialise(recorder, passOffset);
  }

  /** Where a layer reads its weights under the present configuration. */
  weightsOf = (layer: string): LayerWeights => {
    const { layout } = this.#parameters;
    if (!this.fused(layer)) return plainWeights(this.fetched)(layer);
    return {
      kind: 'fused',
      weight: stored(layout.find(`${layer}.weight`)),
      bias: stored(layout.find(`${layer}.bias`)),
      codes: this.#codes,
      maps: this.#maps,
      perImage: this.config.granularity === 'inference',
    };
  };

  /** Codes of one parameter, packed in the padded layout. For tests and for moment matching. */
  async readCodes(name: string): Promise<Uint32Array> {
    const { offset, length } = this.#parameters.layout.find(name);
    return this.#gpu.readWords({ buffer: this.#codes.buffer, offset: offset * 2, size: length * 2 });
  }

  /** The exponent of one unit of a parameter's codes under the present configuration. */
  exponentOf(name: string): number {
    const slice = this.#parameters.layout.find(name);
    const memory = this.config.layers[slice.layer];
    if (memory?.kind !== 'uniform') throw new Error(`${name} has no number format`);
    return this.#exponent(slice, memory);
  }

  /**
   * Root mean square of the change that bit errors at `rate` make to the weights and biases of a layer, under its present
   * number format: what moment-matched noise is scaled to. @throws DeviceLostError
   */
  async flipDeviation(layer: string, rate: number): Promise<number> {
    const memory = this.config.layers[layer];
    if (memory?.kind !== 'uniform') throw new Error(`${layer} has no number format`);
    let [sum, count] = [0, 0];
    for (const slice of this.#parameters.layout.slices) {
      if (slice.layer !== layer) continue;
      const words = await this.readCodes(slice.name);
      const codes = new Uint16Array(slice.rows * slice.columns);
      for (let row = 0; row < slice.rows; row++) {
        for (let column = 0; column < slice.columns; column++) {
          const at = row * slice.stride + column;
          codes[row * slice.columns + column] = words[at >> 1] >>> (16 * (at & 1));
        }
      }
      sum += codes.length * flipVariance(codes, memory.format.bits, this.#exponent(slice, memory), rate);
      count += codes.length;
    }
    return Math.sqrt(sum / count);
  }

  #slices(kind: 'uniform' | 'any'): ParameterSlice[] {
    const { layers } = this.config;
    return this.#parameters.layout.slices.filter(
      ({ layer }) => layers[layer] && (kind === 'any' || layers[layer].kind === 'uniform'),
    );
  }

  #exponent(slice: ParameterSlice, memory: Extract<LayerMemory, { kind: 'uniform' }>): number {
    const { bits, exponent, headroom, encoding } = memory.format;
    if (typeof exponent === 'number') return exponent;
    // As published: the signed maximum, whatever the most negative weight is.
    const range = encoding === 'faithful' ? 'raw' : 'absolute';
    const fitted =
      exponent === 'per-tensor'
        ? [slice]
        : exponent === 'shared'
          ? this.#slices('uniform')
          : [this.#parameters.layout.find(`${exponent.layer}.weight`)];
    return fixedExponent(Math.max(...fitted.map(({ index }) => this.#largest[index][range])), bits, headroom, encoding);
  }

  #fillMap(slice: ParameterSlice, memory: LayerMemory | undefined): void {
    const at = slice.index * MAP_WORDS;
    this.#mapWords.fill(0, at, at + MAP_WORDS);
    if (!memory) return;
    this.#mapWords[at + 3] = MAP_GRANULARITY[this.config.granularity];
    if (memory.kind === 'uniform') {
      const exponent = this.#exponent(slice, memory);
      const table = flipTable(memory.format.bits, memory.bitErrorRate);
      this.#mapFloats[at + 4] = 2 ** exponent;
      this.#mapFloats[at + 5] = 2 ** -exponent;
      this.#mapWords[at + 6] = memory.format.bits;
      this.#mapWords[at + 7] = table.length;
      this.#mapWords.set(table, at + 8);
    } else {
      this.#mapFloats[at + 4] = memory.scale;
    }
  }

  #recordEncode(recorder: Recorder, slices: readonly ParameterSlice[]): void {
    for (const slice of slices) {
      const memory = this.config.layers[slice.layer] as Extract<LayerMemory, { kind: 'uniform' }>;
      const weights = this.#parameters.matrix(slice.name);
      recordEncode(recorder, {
        tensor: stored(slice),
        weights,
        maps: this.#maps,
        codes: this.#codes,
        faithful: memory.format.encoding === 'faithful',
      });
    }
  }

  #recordMaterialise(recorder: Recorder, passOffset: number): void {
    for (const slice of this.#slices('any')) {
      if (this.fused(slice.layer)) continue;
      const { kind } = this.config.layers[slice.layer];
      recordMaterialise(recorder, {
        tensor: stored(slice),
        kind,
        source: kind === 'uniform' ? this.#codes : this.#parameters.matrix(slice.name),
        maps: this.#maps,
        fetched: this.fetched.matrix(slice.name),
        passOffset,
      });
    }
  }

  #program(key: string, record: (recorder: Recorder) => void): Promise<Program> {
    let program = this.#programs.get(key);
    if (!program) {
      const recorder = new Recorder(this.#gpu);
      record(recorder);
      program = recorder.build(key.split(' ')[0]);
      this.#programs.set(key, program);
    }
    return program;
  }
}

function stored({ index, offset, rows, columns, stride }: ParameterSlice): StoredTensor {
  return { map: index, origin: offset / BLOCK_CODES, rows, columns, stride };
}
