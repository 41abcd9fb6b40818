import { ConfigError } from '../errors.ts';
import { Arena, type Matrix, roundUp } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { FAULT_ENTRY_WORDS } from '../gpu/structs.ts';
import { writeDraw, writeScale, writeSources } from '../injection/fault_table.ts';
import {
  recordEncode,
  recordFetchCodes,
  recordMaterialise,
  recordNoise,
  recordStoreActivations,
} from '../kernels/memory.ts';
import { MAX_ABS_SCRATCH_BYTES, recordMaxAbs, recordRowMaxAbs } from '../kernels/reduce.ts';
import { fetchOf, retainsCodes16, type StoredTensor } from '../kernels/stored.ts';
import type { LayerWeights } from '../layers/layer.ts';
import { FlatParameters, type ParameterLayout, type ParameterSlice } from '../layers/parameters.ts';
import { plainWeights } from '../layers/stack.ts';
import {
  BLOCK_CODES,
  type Codec,
  fixedCodec,
  floatCodec,
  formatBits,
  integerCodec,
  storageBitsOf,
} from '../memory/codec.ts';
import type { ActivationMemory, LayerMemory, MemoryConfig, StoredMemory } from '../memory/config.ts';
import {
  deviceKey,
  type FaultSampler,
  type Granularity,
  type Key,
  readKey,
  tensorKey,
} from '../memory/fault_sampler.ts';
import { faultSources, isUniform } from '../memory/faults.ts';
import { decodeCode16, fixedExponent } from '../memory/fixed_point.ts';
import { integerScale } from '../memory/integer.ts';
import { flipVariance } from '../memory/noise.ts';

/** Reads of one load are numbered from a base of its own, so that two loads never share a pass: 2^32 in all. */
const PASSES = 2 ** 20;
const LOADS = 2 ** 12;

/** How many activations may lie in approximate memory. */
const MAX_ACTIVATIONS = 16;

/** Tensors start on so many bytes of the image. */
const TENSOR_ALIGNMENT = 256;

/** A tensor as the present configuration stores it. */
interface Placed {
  readonly slice: ParameterSlice;
  readonly memory: StoredMemory;
  readonly tensor: StoredTensor;
  /** Whether all its cells fail alike. */
  readonly uniform: boolean;
  /** Whether a pass keeps what it read as codes of 16 bits. */
  readonly codes16: boolean;
}

/**
 * A trained model's parameters in approximate memory. Encodes them into a memory image, and hands layers their weights
 * under a configuration: layers it does not name are exact. One object serves a whole sweep: `configure` changes what the
 * memory is, `load` draws the next map.
 *
 * The materialised path keeps what a read returned in `fetched`, which has the layout of the parameters: f32, or codes of 16
 * bits of a dense layer's weights at granularity `pass`, in the first half of their slice. Programs that read only that hold
 * for all configurations of one {@link recordingKey}; where it changes they must be recorded again.
 */
export class ApproximateMemory {
  readonly fetched: FlatParameters;
  /** Max |w| and max w of every parameter, as measured when the model was stored. */
  #largest: readonly { absolute: number; raw: number }[] = [];
  /** Max |w| of every row of a parameter, once a format asked for it. */
  readonly #rowLargest = new Map<string, Float32Array>();
  readonly #gpu: Gpu;
  /** Owner of every buffer, the image among them: freed with the model. */
  readonly #arena: Arena;
  readonly #parameters: FlatParameters;
  readonly #faultTable: BufferView;
  readonly #faultTableWords: Uint32Array<ArrayBuffer>;
  /** Where the scales of the rows of each parameter begin in the fault table. */
  readonly #rowScales: readonly number[];
  readonly #programs = new Map<string, Promise<Program>>();
  /** Maps of what layers hand on: a row an entry of the configuration. */
  readonly #activationFaultTable: BufferView;
  readonly #activationWords = new Uint32Array(FAULT_ENTRY_WORDS * MAX_ACTIVATIONS);
  #codes: BufferView | undefined;
  #placed: readonly Placed[] = [];
  #config: MemoryConfig | undefined;
  #encoded = '';
  #draw = 0;

  private constructor(arena: Arena, parameters: FlatParameters) {
    const { layout } = parameters;
    this.#gpu = arena.gpu;
    this.#arena = arena;
    this.#parameters = parameters;
    this.fetched = new FlatParameters(arena, 'fetched parameters', layout);
    let words = layout.slices.length * FAULT_ENTRY_WORDS;
    this.#rowScales = layout.slices.map(({ rows }) => {
      const at = words;
      words += 2 * roundUp(rows, 4);
      return at;
    });
    this.#faultTable = arena.allocate('fault table', words * 4);
    this.#faultTableWords = new Uint32Array(words);
    this.#activationFaultTable = arena.allocate('fault table of activations', this.#activationWords.byteLength);
  }

  /**
   * Measures the ranges that number formats are fitted to. `configure` and `load` must follow.
   * @param arena that owns the memory
   * @throws DeviceLostError
   */
  static async store(arena: Arena, parameters: FlatParameters): Promise<ApproximateMemory> {
    const memory = new ApproximateMemory(arena, parameters);
    await memory.refit();
    return memory;
  }

  /** Measures the ranges again, after the parameters have changed. `configure` must follow. @throws DeviceLostError */
  async refit(): Promise<void> {
    const gpu = this.#gpu;
    const work = new Arena(gpu);
    const recorder = new Recorder(gpu);
    const scratch = work.allocate('max abs scratch', MAX_ABS_SCRATCH_BYTES);
    const ranges = this.#parameters.layout.slices.map(({ name }) => {
      const output = work.allocate(`${name} range`, 8);
      recordMaxAbs(recorder, { input: this.#parameters.matrix(name), scratch, output });
      return { ...output, size: 8 };
    });
    (await recorder.build('ranges')).run();
    const results = await gpu.read(...ranges);
    work.destroy();
    this.#largest = results.map((bytes) => {
      const [absolute, raw] = new Float32Array(bytes);
      return { absolute, raw };
    });
    this.#rowLargest.clear();
    this.#encoded = '';
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
    return layers[layer]?.kind === 'stored' && (path === 'fused' || granularity === 'inference');
  }

  /**
   * What recorded programs depend on, besides the contents of buffers: which layers are fetched when, and how. Programs
   * that read through {@link weightsOf} or call {@link recordPass} hold as long as it stays the same.
   */
  get recordingKey(): string {
    const { granularity, layers } = this.config;
    const perLoad = granularity === 'load' || granularity === 'chip';
    const placed = this.#placed.filter(({ slice }) => !perLoad || this.fused(slice.layer));
    const noise = perLoad ? [] : Object.entries(layers).map(([layer, { kind }]) => `${layer} ${kind}`);
    const stored = Object.entries(this.config.activations).map(([name, memory]) => [
      name,
      activationFetch(name, memory),
    ]);
    const weights = [noise, placed.map(({ tensor }) => tensor), this.#imageBytes()];
    return JSON.stringify([perLoad ? 'load' : granularity, weights, stored]);
  }

  /** Changes what the memory is; encodes again where the format changed. `load` must follow. @throws ConfigError, DeviceLostError */
  async configure(config: MemoryConfig): Promise<void> {
    const { layout } = this.#parameters;
    checkMemory(config, layout, 1);
    this.#config = config;
    for (const [layer, memory] of Object.entries(config.layers)) await this.#measureRows(layer, memory);
    this.#place();
    for (const slice of layout.slices) this.#fillEntry(slice, config.layers[slice.layer]);
    this.#fillSources(config.chip);
    this.#fillActivations();
    this.#gpu.write(this.#faultTable, this.#faultTableWords);
    const formats = JSON.stringify(
      this.#placed.map(({ slice, memory, tensor }) => [slice.name, memory.format, tensor.origin]),
    );
    if (this.#placed.length > 0 && this.#encoded !== formats) {
      // Rows that only fill up to four are not encoded: what another layout left there must go.
      const encoder = this.#gpu.device.createCommandEncoder({ label: 'clear the image' });
      encoder.clearBuffer(this.#codes!.buffer, this.#codes!.offset, this.#codes!.size);
      this.#gpu.submit(encoder);
      (await this.#program(`encode ${formats}`, (recorder) => this.recordEncode(recorder))).run();
      this.#encoded = formats;
    }
  }

  /**
   * Draws map `draw`: another chip at granularity `chip`, another load at the others. Layers that are materialised once a
   * load are read here; exact layers are copied.
   * @param draw 0, 1, ...; at granularities `pass` and `inference` below 4096
   * @throws ConfigError, DeviceLostError
   */
  async load(draw: number): Promise<void> {
    const { seed, granularity, layers } = this.config;
    checkDraws(granularity, draw + 1);
    this.#draw = draw;
    const chip = this.#chip();
    if (granularity === 'chip') this.#fillSources(chip);
    const device = deviceKey(seed, chip);
    for (const { index } of this.#parameters.layout.slices) {
      const [load, read] = this.#readNumbers();
      writeDraw(this.#faultTableWords, index, { key: tensorKey(seed, chip, index), device, load, read });
    }
    this.#drawActivations(chip, device);
    this.#gpu.write(this.#faultTable, this.#faultTableWords);
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
    if (granularity !== 'pass') {
      const names = slices.map(({ layer }) => (this.fused(layer) ? 'fused' : (layers[layer]?.kind ?? 'exact')));
      const fetches = this.#placed.map(({ tensor }) => tensor);
      const key = `load ${granularity} ${names} ${JSON.stringify(fetches)}`;
      (await this.#program(key, (recorder) => this.#recordMaterialise(recorder, 0))).run();
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

  /** Whether the input, or what a layer hands on, lies in approximate memory. */
  storesActivation(name: string): boolean {
    return Object.hasOwn(this.config.activations, name);
  }

  /** Records that `x`, the input or what a layer hands on, is written to memory and read back, in place. */
  recordActivation(recorder: Recorder, name: string, x: Matrix, images: number): void {
    const map = Object.keys(this.config.activations).indexOf(name);
    const { fetch } = activationFetch(name, this.config.activations[name]);
    recordStoreActivations(recorder, {
      tensor: { map, origin: 0, fetch },
      x,
      images,
      faultTable: this.#activationFaultTable,
    });
  }

  /** What decides which cells of an image's activations fail in a read of the present load, and their format: for the twin. */
  activationSamplerOf(name: string, pass: number, image: number): { sampler: FaultSampler; codec: Codec } {
    const memory = this.config.activations[name];
    const chip = this.#chip();
    const key = tensorKey(this.config.seed, chip, activationNumber(name));
    return { sampler: this.#faultSampler(memory, key, 0, pass, image), codec: activationFetch(name, memory).codec };
  }

  /** Where a layer reads its weights under the present configuration. */
  weightsOf = (layer: string): LayerWeights => {
    const plain = plainWeights(this.fetched)(layer);
    if (!this.fused(layer)) {
      const placed = this.#placed.find(({ slice, codes16 }) => codes16 && slice.layer === layer);
      if (plain.kind !== 'plain' || !placed) return plain;
      return {
        ...plain,
        weight: this.#codes16Of(placed),
        codes16: { faultTable: this.#faultTable, map: placed.tensor.map },
      };
    }
    return {
      kind: 'fused',
      weight: this.#find(`${layer}.weight`).tensor,
      bias: this.#find(`${layer}.bias`).tensor,
      codes: this.#codes!,
      faultTable: this.#faultTable,
      perImage: this.config.granularity === 'inference',
      errorFree: this.#corrected(layer) ? this.fetched.matrix(`${layer}.weight`) : undefined,
      reads: plain.reads,
    };
  };

  /** Whether every image's faults are corrections of one error-free product. */
  #corrected(layer: string): boolean {
    if (this.config.granularity !== 'inference') return false;
    return this.#placed.some(({ slice, uniform }) => slice.layer === layer && uniform);
  }

  /** Bytes that a layer occupies, with pads and check bits: what one read of it moves. Exact layers are f32. */
  bytesOf(layer: string): number {
    const placed = this.#placed.filter(({ slice }) => slice.layer === layer);
    if (placed.length > 0) {
      return placed.reduce((sum, { slice, memory }) => sum + imageBytes(slice, memory) * (memory.ecc ? 9 / 8 : 1), 0);
    }
    const slices = this.#parameters.layout.slices.filter((slice) => slice.layer === layer);
    return slices.reduce((sum, { length }) => sum + 4 * length, 0);
  }

  /** Codes of one parameter as they are stored, packed in the padded layout. */
  async readCodes(name: string): Promise<Uint32Array<ArrayBuffer>> {
    return this.#gpu.readWords(this.#codesOf(this.#find(name)));
  }

  /**
   * What one read of a parameter returns, packed in the padded layout: under the present load, at granularity `pass` or
   * `inference` its pass `pass`, for image 0. @throws DeviceLostError
   */
  async fetchCodes(name: string, pass = 0): Promise<Uint32Array<ArrayBuffer>> {
    const placed = this.#find(name);
    if (this.#corrected(placed.slice.layer)) {
      throw new ConfigError(
        'memory.granularity: at inference every image reads weights of its own, of dense layers only those that are hit; ' +
          'use pass to look at one read',
      );
    }
    const work = new Arena(this.#gpu);
    const returned = {
      ...work.allocate('returned codes', this.#codesOf(placed).size),
      size: this.#codesOf(placed).size,
    };
    const recorder = new Recorder(this.#gpu);
    recordFetchCodes(recorder, {
      tensor: placed.tensor,
      codes: this.#codes!,
      faultTable: this.#faultTable,
      returned,
      passOffset: 0,
    });
    const program = await recorder.build('fetch codes');
    program.setStep({ passIndex: pass });
    program.run();
    const words = await this.#gpu.readWords(returned);
    work.destroy();
    return words;
  }

  /** Weights of a parameter as the last read left them: bits of f32, rows x stride, zeros in the pads. @throws DeviceLostError */
  async fetchedWeights(name: string): Promise<Uint32Array<ArrayBuffer>> {
    const { rows, columns, stride } = this.fetched.layout.find(name);
    const words = await this.#gpu.readWords(this.fetched.matrix(name));
    const placed = this.#placed.find(({ slice, codes16 }) => codes16 && slice.name === name);
    if (!placed || this.fused(placed.slice.layer)) return words.slice(0, rows * stride);
    const exponent = this.#exponent(placed.slice, placed.memory);
    const codes = new Uint16Array(words.buffer, words.byteOffset, rows * stride);
    const weights = Float32Array.from(codes, (code, i) => (i % stride < columns ? decodeCode16(code, exponent) : 0));
    return new Uint32Array(weights.buffer);
  }

  /** The number format of a parameter, fitted: what turns codes into weights. */
  codecOf(name: string): Codec {
    const { slice, memory } = this.#find(name);
    const { format } = memory;
    if (format.kind === 'fixed') return fixedCodec(format.bits, this.#exponent(slice, memory), format.encoding);
    if ('nonFinite' in format) return floatCodec(format.kind, format.nonFinite);
    const bits = format.kind === 'int8' ? 8 : 4;
    const rows = format.scale === 'per-channel' && slice.rows > 1 ? this.#rowLargest.get(name)! : undefined;
    return integerCodec(
      bits,
      rows ? Array.from(rows, (each) => integerScale(each, bits)) : [this.#scale(slice, memory)],
    );
  }

  /** Everything that decides which cells of a parameter fail in a read of the present load: for the twin. */
  faultSamplerOf(name: string, pass = 0, image?: number): FaultSampler {
    const { slice, memory, tensor } = this.#find(name);
    const key = tensorKey(this.config.seed, this.#chip(), slice.index);
    return this.#faultSampler(memory, key, tensor.origin, pass, image);
  }

  #faultSampler(memory: StoredMemory, key: Key, origin: number, pass: number, image: number | undefined): FaultSampler {
    const { seed, granularity, geometry } = this.config;
    const [load, read] = this.#readNumbers();
    const perPass = granularity === 'pass' || granularity === 'inference';
    return {
      storageBits: storageBitsOf(formatBits(memory.format)),
      sources: faultSources(memory, this.#chip()),
      ecc: memory.ecc,
      geometry,
      keys: {
        chip: readKey(key, 0),
        load: readKey(key, load),
        read: readKey(key, read + (perPass ? pass : 0), granularity === 'inference' ? (image ?? 0) : undefined),
      },
      device: deviceKey(seed, this.#chip()),
      origin,
    };
  }

  /** The value just above the largest that a parameter's format holds: what noise levels are multiples of. */
  fullScaleOf(name: string): number {
    const { slice, memory } = this.#find(name);
    const bits = formatBits(memory.format);
    if (memory.format.kind === 'fixed') return 2 ** (this.#exponent(slice, memory) + bits - 1);
    if ('nonFinite' in memory.format) return this.#largest[slice.index].absolute;
    return this.#scale(slice, memory).scale * 2 ** (bits - 1);
  }

  /**
   * Root mean square of the change that bit errors at `rate` make to the weights and biases of a layer, under its present
   * number format: what moment-matched noise is scaled to. @throws ConfigError for floating point, DeviceLostError
   */
  async flipDeviation(layer: string, rate: number): Promise<number> {
    let [sum, count] = [0, 0];
    for (const { slice, memory } of this.#placed) {
      if (slice.layer !== layer) continue;
      if ('nonFinite' in memory.format) {
        throw new ConfigError(`memory.layers.${layer}.format: flips of ${memory.format.kind} have no finite moments`);
      }
      const codec = this.codecOf(slice.name);
      const variance = flipVariance(
        await this.readCodes(slice.name),
        slice,
        codec,
        memory.format.kind === 'fixed',
        rate,
      );
      sum += slice.rows * slice.columns * variance;
      count += slice.rows * slice.columns;
    }
    if (count === 0) throw new Error(`${layer} has no number format`);
    return Math.sqrt(sum / count);
  }

  /** Specimen of the present draw. */
  #chip(): number {
    const { chip, granularity } = this.config;
    return granularity === 'chip' ? chip + this.#draw : chip;
  }

  /** Number of the present load, and of its first read. */
  #readNumbers(): [load: number, read: number] {
    const { granularity } = this.config;
    if (granularity === 'chip') return [0, 0];
    return [this.#draw, granularity === 'load' ? this.#draw : this.#draw * PASSES];
  }

  #find(name: string): Placed {
    const placed = this.#placed.find(({ slice }) => slice.name === name);
    if (!placed) throw new Error(`${name} has no number format`);
    return placed;
  }

  #codesOf({ slice, memory, tensor }: Placed): BufferView {
    const size = imageBytes(slice, memory);
    return { buffer: this.#codes!.buffer, offset: tensor.origin * blockBytes(memory), size };
  }

  /** Where codes of 16 bits lie. */
  #codes16Of({ slice }: Placed): Matrix {
    const matrix = this.fetched.matrix(slice.name);
    return { ...matrix, size: matrix.size / 2 };
  }

  #imageBytes(): number {
    return this.#codes?.size ?? 0;
  }

  #place(): void {
    const { placed, bytes } = placeTensors(this.config, this.#parameters.layout);
    this.#placed = placed;
    if (bytes > this.#imageBytes()) {
      this.#codes = this.#arena.allocate('memory image', bytes);
      this.#programs.clear();
      this.#encoded = '';
    }
  }

  async #measureRows(layer: string, memory: LayerMemory): Promise<void> {
    if (memory.kind !== 'stored' || !('scale' in memory.format) || memory.format.scale !== 'per-channel') return;
    const slice = this.#parameters.layout.find(`${layer}.weight`);
    if (slice.rows === 1 || this.#rowLargest.has(slice.name)) return;
    const work = new Arena(this.#gpu);
    const output = { ...work.allocate('row ranges', slice.rows * 4), size: slice.rows * 4 };
    const recorder = new Recorder(this.#gpu);
    recordRowMaxAbs(recorder, { input: this.#parameters.matrix(slice.name), output });
    (await recorder.build('row ranges')).run();
    this.#rowLargest.set(slice.name, await this.#gpu.readFloats(output));
    work.destroy();
  }

  #exponent(slice: ParameterSlice, memory: StoredMemory): number {
    if (memory.format.kind !== 'fixed') throw new Error(`${slice.name} has no exponent`);
    const { bits, exponent, headroom, encoding } = memory.format;
    if (typeof exponent === 'number') return exponent;
    // As published: the signed maximum, whatever the most negative weight is.
    const range = encoding === 'faithful' ? 'raw' : 'absolute';
    const fitted =
      exponent === 'per-tensor'
        ? [slice]
        : exponent === 'shared'
          ? this.#placed.map((placed) => placed.slice)
          : [this.#parameters.layout.find(`${exponent.layer}.weight`)];
    return fixedExponent(Math.max(...fitted.map(({ index }) => this.#largest[index][range])), bits, headroom, encoding);
  }

  /** Of all rows; 1 where the format has none. */
  #scale(slice: ParameterSlice, memory: StoredMemory): { scale: number; inverse: number } {
    if (memory.format.kind === 'fixed') {
      const exponent = this.#exponent(slice, memory);
      return { scale: 2 ** exponent, inverse: 2 ** -exponent };
    }
    if ('nonFinite' in memory.format) return { scale: 1, inverse: 1 };
    return integerScale(this.#largest[slice.index].absolute, formatBits(memory.format));
  }

  #fillEntry(slice: ParameterSlice, memory: LayerMemory | undefined): void {
    const { index } = slice;
    const { granularity } = this.config;
    this.#faultTableWords.fill(0, index * FAULT_ENTRY_WORDS, (index + 1) * FAULT_ENTRY_WORDS);
    if (!memory) return;
    if (memory.kind !== 'stored') {
      writeScale(this.#faultTableWords, index, { granularity, scale: memory.scale, inverse: 0, bits: 0 });
      return;
    }
    const bits = formatBits(memory.format);
    const whole = this.#scale(slice, memory);
    const rowScales = this.#rowScales[index];
    writeScale(this.#faultTableWords, index, { granularity, ...whole, bits, rowScales });
    const rows = this.#rowLargest.get(slice.name);
    const pairs = new Float32Array(this.#faultTableWords.buffer, rowScales * 4, 2 * roundUp(slice.rows, 4));
    for (let row = 0; row < pairs.length / 2; row++) {
      const { scale, inverse } = rows && row < rows.length ? integerScale(rows[row], bits) : whole;
      pairs.set([scale, inverse], 2 * row);
    }
  }

  #fillSources(chip: number): void {
    const { geometry, granularity } = this.config;
    for (const { slice, memory } of this.#placed) {
      const sources = faultSources(memory, chip, `memory.layers.${slice.layer}`);
      const storageBits = storageBitsOf(formatBits(memory.format));
      writeSources(this.#faultTableWords, slice.index, {
        sources,
        storageBits,
        ecc: memory.ecc,
        geometry,
        granularity,
        shape: slice,
      });
    }
  }

  #fillActivations(): void {
    const { activations, chip, granularity, geometry } = this.config;
    const entries = Object.entries(activations);
    for (const [map, [name, memory]] of entries.entries()) {
      const sources = faultSources(memory, chip, `memory.activations.${name}`);
      const { codec, scale, inverse } = activationFetch(name, memory);
      writeScale(this.#activationWords, map, { granularity, scale, inverse, bits: codec.bits });
      const shape = { rows: 1, columns: BLOCK_CODES, stride: BLOCK_CODES };
      const place = { storageBits: codec.storageBits, ecc: memory.ecc, geometry, shape, granularity };
      writeSources(this.#activationWords, map, { sources, ...place });
    }
  }

  #drawActivations(chip: number, device: Key): void {
    const [load, read] = this.#readNumbers();
    for (const [map, name] of Object.keys(this.config.activations).entries()) {
      const key = tensorKey(this.config.seed, chip, activationNumber(name));
      writeDraw(this.#activationWords, map, { key, device, load, read });
    }
    this.#gpu.write(this.#activationFaultTable, this.#activationWords);
  }

  /** Records the encoding of the parameters as they are, in the ranges that they had when they were measured. */
  recordEncode(recorder: Recorder): void {
    for (const { slice, tensor } of this.#placed) {
      const weights = this.#parameters.matrix(slice.name);
      recordEncode(recorder, { tensor, weights, faultTable: this.#faultTable, codes: this.#codes! });
    }
  }

  #recordMaterialise(recorder: Recorder, passOffset: number): void {
    const { layers } = this.config;
    for (const placed of this.#placed) {
      const { slice, tensor, memory, codes16 } = placed;
      const fused = this.fused(slice.layer);
      if (fused && !this.#corrected(slice.layer)) continue;
      const retained = codes16 ? 'codes16' : 'f32';
      const fetched = codes16 ? this.#codes16Of(placed) : this.fetched.matrix(slice.name);
      const read = fused ? { ...tensor, fetch: fetchOf(memory, []) } : tensor;
      recordMaterialise(recorder, {
        tensor: read,
        codes: this.#codes!,
        faultTable: this.#faultTable,
        fetched,
        retained,
        passOffset,
      });
    }
    for (const slice of this.#parameters.layout.slices) {
      const kind = layers[slice.layer]?.kind;
      if (kind !== 'gaussian' && kind !== 'laplacian') continue;
      recordNoise(recorder, {
        tensor: { ...slice, map: slice.index },
        kind,
        weights: this.#parameters.matrix(slice.name),
        faultTable: this.#faultTable,
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

function checkDraws(granularity: Granularity, draws: number): void {
  if ((granularity === 'pass' || granularity === 'inference') && draws > LOADS) {
    throw new ConfigError(`draw: ${draws - 1} is not below ${LOADS}, the loads at granularity ${granularity}`);
  }
}

/**
 * Whether a model of this layout can lie in such a memory, for so many draws: everything that does not depend on the weights.
 * @throws ConfigError with the path in the configuration
 */
export function checkMemory(config: MemoryConfig, layout: ParameterLayout, draws: number, where = 'memory'): void {
  const { granularity, chip, layers, geometry } = config;
  checkDraws(granularity, draws);
  for (const [layer, memory] of Object.entries(layers)) {
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
    // At granularity chip every draw is another specimen, which may not have been measured at a voltage.
    for (let draw = 0; draw < (granularity === 'chip' ? draws : 1); draw++)
      checkSources(memory, chip + draw, config, path);
  }
  const { activations } = config;
  if (Object.keys(activations).length > MAX_ACTIVATIONS) {
    throw new ConfigError(`${where}.activations: at most ${MAX_ACTIVATIONS} may be stored`);
  }
  for (const [name, memory] of Object.entries(activations)) {
    checkSources(memory, chip, config, `${where}.activations.${name}`);
  }
  const { bytes } = placeTensors(config, layout);
  const capacity = geometry.banks * geometry.rows * geometry.rowBytes;
  if (bytes > capacity) {
    throw new ConfigError(
      `${where}.geometry: ${geometry.banks} banks of ${geometry.rows} rows of ${geometry.rowBytes} bytes hold ${capacity} ` +
        `bytes, the image has ${bytes}`,
    );
  }
}

/** Whether a layer's sources fit a map. */
function checkSources(memory: StoredMemory, chip: number, { geometry, granularity }: MemoryConfig, path: string): void {
  const sources = faultSources(memory, chip, path);
  const shape = { rows: 1, columns: BLOCK_CODES, stride: BLOCK_CODES };
  const storageBits = storageBitsOf(formatBits(memory.format));
  writeSources(new Uint32Array(FAULT_ENTRY_WORDS), 0, {
    sources,
    storageBits,
    ecc: memory.ecc,
    geometry,
    shape,
    granularity,
    where: path,
  });
}

/** Lays the stored tensors out one behind the other, each packed in its own format. */
function placeTensors(config: MemoryConfig, layout: ParameterLayout): { placed: Placed[]; bytes: number } {
  let bytes = 0;
  const placed: Placed[] = [];
  for (const slice of layout.slices) {
    const memory = config.layers[slice.layer];
    if (memory?.kind !== 'stored') continue;
    const { index, rows, columns, stride } = slice;
    const sources = faultSources(memory, config.chip, `memory.layers.${slice.layer}`);
    const origin = bytes / blockBytes(memory);
    const tensor = { map: index, origin, rows, columns, stride, fetch: fetchOf(memory, sources) };
    // A matrix is a dense layer's weights: its product decodes them. What is read once a load is decoded once.
    const codes16 = config.granularity === 'pass' && slice.shape.length === 2 && retainsCodes16(memory);
    placed.push({ slice, memory, tensor, uniform: isUniform(sources, memory.ecc), codes16 });
    bytes = roundUp(bytes + imageBytes(slice, memory), TENSOR_ALIGNMENT);
  }
  return { placed, bytes };
}

/** Bytes of a block of codes. */
function blockBytes({ format }: StoredMemory): number {
  return (BLOCK_CODES * storageBitsOf(formatBits(format))) / 8;
}

/** Bytes of a parameter's codes. */
function imageBytes({ length }: ParameterSlice, memory: StoredMemory): number {
  return (length / BLOCK_CODES) * blockBytes(memory);
}

/** The number that keys an activation's draws: of its name (FNV-1a), above those of parameters. */
function activationNumber(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash | 0x80000000) >>> 0;
}

/** How an activation is stored: its format fitted to its range, and the kernel that fetches it. */
function activationFetch(
  name: string,
  memory: ActivationMemory,
): { codec: Codec; scale: number; inverse: number; fetch: StoredTensor['fetch'] } {
  const { format, range = 1 } = memory;
  const fetch = fetchOf(memory, faultSources(memory, 0, `memory.activations.${name}`));
  if ('nonFinite' in format) return { codec: floatCodec(format.kind, format.nonFinite), scale: 1, inverse: 1, fetch };
  if (format.kind === 'fixed') {
    const exponent = fixedExponent(range, format.bits, format.headroom, format.encoding);
    const codec = fixedCodec(format.bits, exponent, format.encoding);
    return { codec, scale: 2 ** exponent, inverse: 2 ** -exponent, fetch };
  }
  const bits = format.kind === 'int8' ? 8 : 4;
  const scale = integerScale(range, bits);
  return { codec: integerCodec(bits, [scale]), ...scale, fetch };
}
