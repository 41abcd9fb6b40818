import { ConfigError } from '../errors.ts';
import { Arena, type Matrix } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import {
  recordEncode,
  recordFetchCodes,
  recordMaterialise,
  recordNoise,
  recordStoreActivations,
} from '../kernels/memory.ts';
import { fetchOf } from '../kernels/stored.ts';
import type { LayerWeights } from '../layers/layer.ts';
import { FlatParameters } from '../layers/parameters.ts';
import { plainWeights } from '../layers/weights.ts';
import { type Codec, formatBits, storageBitsOf } from '../memory/codec.ts';
import type { ChosenFlip, MemoryConfig, StoredMemory } from '../memory/config.ts';
import { deviceKey, type FaultSampler, readKey, tensorKey } from '../memory/fault_sampler.ts';
import { failingBits } from '../memory/faults.ts';
import { decodeCode16 } from '../memory/fixed_point.ts';
import { flipVariance } from '../memory/noise.ts';
import { BitFlipper, flippedWords } from './chosen_flips.ts';
import { FaultTable } from './fault_table.ts';
import {
  type ChipFaults,
  checkDraws,
  chipFaults,
  type MemoryPlan,
  type PlannedFaults,
  type PlannedTensor,
  planMemory,
} from './placement.ts';
import { type FittedFormat, ParameterRanges } from './ranges.ts';
import { type PlacedTensors, placeTensors } from './zones.ts';

/** Pass numbers per load, so that two loads never share the number of a pass: LOADS x PASSES = 2^32. */
const PASSES = 2 ** 20;

const NO_FAULTS: ChipFaults = { chip: 0, layers: new Map(), activations: new Map() };

/** Measures the largest magnitudes of layers' outputs, by the names of the layers; above 0. */
export type MeasureActivations = () => Promise<ReadonlyMap<string, number>>;

/**
 * A trained model's parameters in approximate memory. It encodes them into a memory image and provides the weights of every
 * layer under a configuration; layers that the configuration does not name are exact. One object serves a whole sweep:
 * `configure` sets the properties of the memory, `load` draws the faults.
 *
 * The materialised path stores the result of a read in `fetched`, which has the layout of the parameters. It holds f32 or,
 * for some weights of dense layers at granularity `pass`, codes of 16 bits in the first half of their slice. A recorded
 * program that reads only `fetched` is valid for all configurations with the same {@link recordingKey}.
 */
export class ApproximateMemory {
  readonly fetched: FlatParameters;
  readonly #gpu: Gpu;
  /** The owner of every buffer, including the image, so that they are freed with the model. */
  readonly #arena: Arena;
  readonly #parameters: FlatParameters;
  readonly #ranges: ParameterRanges;
  readonly #table: FaultTable;
  readonly #flipper: BitFlipper;
  readonly #programs = new Map<string, Promise<Program>>();
  #codes: BufferView | undefined;
  #config: MemoryConfig | undefined;
  #plan: MemoryPlan = { tensors: [], activations: [], bytes: 0, faults: NO_FAULTS, flips: [] };
  /** Fitted formats of the stored parameters, by parameter name. */
  #formats: ReadonlyMap<string, FittedFormat> = new Map();
  /** The faults on the chip of the current draw. */
  #faults: ChipFaults = NO_FAULTS;
  /** The places of the tensors in the current draw. */
  #placed: PlacedTensors | undefined;
  #encoded = '';
  #draw = 0;
  readonly #measureActivations: MeasureActivations | undefined;
  #activationRanges: Promise<ReadonlyMap<string, number>> | undefined;

  private constructor(arena: Arena, parameters: FlatParameters, measureActivations: MeasureActivations | undefined) {
    this.#measureActivations = measureActivations;
    this.#gpu = arena.gpu;
    this.#arena = arena;
    this.#parameters = parameters;
    this.fetched = new FlatParameters(arena, 'fetched parameters', parameters.layout);
    this.#ranges = new ParameterRanges(arena.gpu, parameters);
    this.#table = new FaultTable(arena, parameters.layout);
    this.#flipper = new BitFlipper(arena);
  }

  /**
   * Creates the memory and measures the ranges that number formats are fitted to. `configure` and `load` must follow.
   * @param arena the owner of the buffers of the memory
   * @param measureActivations called once, when a configuration leaves the range of an activation open
   * @throws DeviceLostError
   */
  static async store(
    arena: Arena,
    parameters: FlatParameters,
    measureActivations?: MeasureActivations,
  ): Promise<ApproximateMemory> {
    const memory = new ApproximateMemory(arena, parameters, measureActivations);
    await memory.refit();
    return memory;
  }

  /** Measures the ranges again, after the parameters have changed. `configure` must follow. @throws DeviceLostError */
  async refit(): Promise<void> {
    await this.#ranges.measure();
    this.#activationRanges = undefined;
    this.#encoded = '';
  }

  /** The stored values, before any error. */
  get exact(): FlatParameters {
    return this.#parameters;
  }

  /** The current configuration. @throws Error before `configure` */
  get config(): MemoryConfig {
    if (!this.#config) throw new Error('the memory has no configuration; call configure first');
    return this.#config;
  }

  /**
   * True if the layer's weights are fetched inside the products that use them; never true for batch normalisation.
   * @param config the current configuration by default
   */
  fused(layer: string, { layers, path, granularity }: MemoryConfig = this.config): boolean {
    if (this.#parameters.layout.find(`${layer}.weight`).rows === 1) return false;
    return layers[layer]?.kind === 'stored' && (path === 'fused' || granularity === 'inference');
  }

  /**
   * Identifies which layers are fetched, when and how. Programs that read through {@link weightsOf} or call
   * {@link recordPass} depend only on this key and on the contents of buffers, and stay valid while the key does not change.
   */
  get recordingKey(): string {
    const { granularity, layers } = this.config;
    const perLoad = granularity === 'load' || granularity === 'chip';
    const fetched = this.#plan.tensors.filter(({ slice }) => !perLoad || this.fused(slice.layer));
    const noise = perLoad ? [] : Object.entries(layers).map(([layer, { kind }]) => `${layer} ${kind}`);
    const activations = this.#plan.activations.map(({ name, format, fetch }) => [name, format, fetch]);
    const weights = [noise, fetched.map(({ tensor }) => tensor), this.imageBytes, this.#table.parameters.size];
    return JSON.stringify([perLoad ? 'load' : granularity, weights, activations]);
  }

  /** Sets the configuration; encodes again if a format changed. `load` must follow. @throws ConfigError, DeviceLostError */
  async configure(config: MemoryConfig): Promise<void> {
    const plan = planMemory(config, this.#parameters.layout, 'memory', await this.#rangesOf(config.activations));
    this.#config = config;
    this.#plan = plan;
    this.#faults = plan.faults;
    for (const [layer, memory] of Object.entries(config.layers)) await this.#ranges.measureRows(layer, memory);
    const stored = plan.tensors.map(({ slice }) => slice);
    this.#formats = new Map(
      plan.tensors.map(({ slice, memory }) => [slice.name, this.#ranges.fit(slice, memory, stored)]),
    );
    const { parameters: table } = this.#table;
    this.#table.configure(config, plan, this.#formats);
    if (this.#table.parameters !== table) this.#programs.clear();
    this.#table.upload();
    await this.#encode();
  }

  /** Largest magnitudes of the activations, if a format must be fitted to one. @throws ConfigError if they cannot be measured */
  async #rangesOf(activations: MemoryConfig['activations']): Promise<ReadonlyMap<string, number> | undefined> {
    const open = Object.entries(activations).find(
      ([name, { format, range }]) => name !== 'input' && range === undefined && !('nonFinite' in format),
    );
    if (!open) return undefined;
    if (!this.#measureActivations) {
      const [name, { format }] = open;
      throw new ConfigError(`memory.activations.${name}.range: give the largest value that ${format.kind} must hold`);
    }
    this.#activationRanges ??= this.#measureActivations();
    return this.#activationRanges;
  }

  /** Encodes the parameters, unless the image is already in these formats. */
  async #encode(): Promise<void> {
    const { tensors, bytes, flips } = this.#plan;
    if (bytes > this.imageBytes) {
      this.#codes = this.#arena.allocate('memory image', bytes);
      this.#programs.clear();
      this.#encoded = '';
    }
    const formats = JSON.stringify(
      tensors.map(({ slice, memory, tensor }) => [slice.name, memory.format, tensor.origin]),
    );
    const content = flips.length === 0 ? formats : JSON.stringify([formats, flips]);
    if (tensors.length === 0 || this.#encoded === content) return;
    // Rows that only pad a matrix to 4 rows are not encoded: clear what another layout left there.
    const encoder = this.#gpu.device.createCommandEncoder({ label: 'clear the image' });
    encoder.clearBuffer(this.#codes!.buffer, this.#codes!.offset, this.#codes!.size);
    this.#gpu.submit(encoder);
    (await this.#program('encode', formats, (recorder) => this.recordEncode(recorder))).run();
    await this.#flipper.flip(this.#codes!, flips);
    this.#encoded = content;
  }

  /**
   * Inverts stored bits, or restores them if they are inverted already. `load` must follow; `configure` encodes again.
   * @param image an image of {@link imageBytes} bytes; by default the memory image
   * @throws ConfigError for bits that the memory does not hold, DeviceLostError
   */
  async flip(flips: readonly ChosenFlip[], image = this.#codes!): Promise<void> {
    if (image === this.#codes) this.#encoded = '';
    await this.#flipper.flip(image, flippedWords(flips, this.#plan.tensors, 'flips'));
  }

  /**
   * Draws the faults of draw `draw`: another chip at granularity `chip`, another load at the other granularities. It reads
   * the layers that are materialised once per load and copies exact layers.
   * @param draw integer >= 0; below 4096 at granularities `pass` and `inference`
   * @throws ConfigError, DeviceLostError
   */
  async load(draw: number): Promise<void> {
    const { seed, granularity, layers } = this.config;
    checkDraws(granularity, draw + 1);
    this.#draw = draw;
    const chip = this.#chip();
    if (chip !== this.#faults.chip) {
      this.#faults = chipFaults(this.config, chip);
      this.#table.setFaults(this.#plan, this.#faults);
    }
    const [load, read] = this.#readNumbers();
    this.#placed = placeTensors(this.config, this.#plan.tensors, this.#faults, load);
    this.#table.setZones(this.#plan, this.#faults, this.#placed);
    this.#table.draw(seed, this.#plan, { chip, device: deviceKey(seed, chip), load, read });
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
      const fetches = this.#plan.tensors.map(({ tensor }) => tensor);
      const key = JSON.stringify([granularity, names, fetches]);
      (await this.#program('load', key, (recorder) => this.#recordMaterialise(recorder, 0))).run();
    }
  }

  /**
   * Records the reads at the start of a forward pass (`passOffset` 0) or of the backward pass after it (1). At granularity
   * `pass` every materialised layer is fetched again; at others nothing is recorded. The step's `pass_index` advances by 2
   * per pair of forward and backward pass.
   */
  recordPass(recorder: Recorder, passOffset: number): void {
    if (this.config.granularity === 'pass') this.#recordMaterialise(recorder, passOffset);
  }

  /** True if the activation `name` (the input, or the output of a layer) is stored in approximate memory. */
  storesActivation(name: string): boolean {
    return Object.hasOwn(this.config.activations, name);
  }

  /** Records that `x`, the input or the output of a layer, is written to memory and read back, in place. */
  recordActivation(recorder: Recorder, name: string, x: Matrix, images: number): void {
    const map = this.#plan.activations.findIndex((activation) => activation.name === name);
    const { fetch } = this.#plan.activations[map];
    const faultTable = this.#table.activations;
    recordStoreActivations(recorder, { tensor: { map, origin: 0, fetch }, x, images, faultTable });
  }

  /** Sampler of the faults in an image's activations in one read of the current load, and their codec; for the reference. */
  activationSamplerOf(name: string, pass: number, image: number): { sampler: FaultSampler; codec: Codec } {
    const { memory, number, format } = this.#plan.activations.find((activation) => activation.name === name)!;
    const faults = this.#faults.activations.get(name)!;
    return { sampler: this.#faultSampler(memory, faults, { number, origin: 0, pass, image }), codec: format.codec };
  }

  /** The source of a layer's weights under the current configuration. */
  weightsOf = (layer: string): LayerWeights => {
    const plain = plainWeights(this.fetched)(layer);
    if (!this.fused(layer)) {
      const placed = this.#plan.tensors.find(({ slice, codes16 }) => codes16 && slice.layer === layer);
      if (plain.kind !== 'plain' || !placed) return plain;
      return {
        ...plain,
        weight: this.#codes16Of(placed),
        codes16: { faultTable: this.#table.parameters, map: placed.tensor.map },
      };
    }
    return {
      kind: 'fused',
      weight: this.#find(`${layer}.weight`).tensor,
      bias: this.#plan.tensors.find(({ slice }) => slice.name === `${layer}.bias`)?.tensor,
      codes: this.#codes!,
      faultTable: this.#table.parameters,
      perImage: this.config.granularity === 'inference',
      errorFree: this.#corrected(layer) ? this.fetched.matrix(`${layer}.weight`) : undefined,
      reads: plain.reads,
    };
  };

  /** True if the faults of every image are applied as corrections of one error-free product. */
  #corrected(layer: string): boolean {
    if (this.config.granularity !== 'inference') return false;
    return this.#plan.tensors.some(({ slice, uniform }) => slice.layer === layer && uniform);
  }

  /** Bytes that one read of a layer moves, including pads, check bits and the flags of inverted storage. Exact layers are f32. */
  bytesOf(layer: string): number {
    const stored = this.#plan.tensors.filter(({ slice }) => slice.layer === layer);
    if (stored.length > 0) return stored.reduce((sum, { size, memory }) => sum + storedBytes(size, memory), 0);
    const slices = this.#parameters.layout.slices.filter((slice) => slice.layer === layer);
    return slices.reduce((sum, { length }) => sum + 4 * length, 0);
  }

  /** Returns the codes of a parameter as they are stored, packed in the padded layout. @throws DeviceLostError */
  async readCodes(name: string): Promise<Uint32Array<ArrayBuffer>> {
    return this.#gpu.readWords(this.#codesOf(this.#find(name)));
  }

  /**
   * Returns the codes of one read of a parameter under the current load, packed in the padded layout. `pass` selects the
   * read at granularities `pass` and `inference`; the image is number 0.
   * @throws ConfigError for a layer whose images are corrected one by one, DeviceLostError
   */
  async fetchCodes(name: string, pass = 0): Promise<Uint32Array<ArrayBuffer>> {
    const { size } = this.#codesOf(this.#find(name));
    const work = new Arena(this.#gpu);
    const returned = { ...work.allocate('returned codes', size), size };
    const recorder = new Recorder(this.#gpu);
    this.recordFetchCodes(recorder, name, returned);
    const program = await recorder.build('fetch codes');
    program.setStep({ passIndex: pass });
    program.run();
    const words = await this.#gpu.readWords(returned);
    work.destroy();
    return words;
  }

  /**
   * Records one read of a parameter without decoding it: what {@link fetchCodes} returns, into a buffer of the size of its codes.
   * A recorded program stays valid for later loads under the same configuration.
   * @throws ConfigError for a layer whose images are corrected one by one
   */
  recordFetchCodes(recorder: Recorder, name: string, returned: BufferView): void {
    const placed = this.#find(name);
    if (this.#corrected(placed.slice.layer)) {
      throw new ConfigError(
        'memory.granularity: at inference every image reads the weights separately, dense layers only faulty codes; ' +
          'use pass to inspect one read',
      );
    }
    const args = { tensor: placed.tensor, codes: this.#codes!, faultTable: this.#table.parameters, returned };
    recordFetchCodes(recorder, { ...args, passOffset: 0 });
  }

  /** Names of the parameters that are stored as codes. */
  get storedParameters(): readonly string[] {
    return this.#plan.tensors.map(({ slice }) => slice.name);
  }

  /**
   * Decodes codes of stored parameters, as {@link fetchCodes} returns them, without any further error.
   * @param codes by the name of the parameter
   * @param output into which the weights are written
   */
  async decode(codes: ReadonlyMap<string, Uint32Array<ArrayBuffer>>, output: FlatParameters): Promise<void> {
    if (codes.size === 0) return;
    const work = new Arena(this.#gpu);
    const image = work.allocate('codes', this.#plan.bytes);
    const recorder = new Recorder(this.#gpu);
    for (const [name, words] of codes) {
      const { tensor, memory, offset } = this.#find(name);
      this.#gpu.write(image, words, offset);
      recordMaterialise(recorder, {
        tensor: { ...tensor, fetch: fetchOf(memory, []) },
        codes: image,
        faultTable: this.#table.parameters,
        fetched: output.matrix(name),
        passOffset: 0,
      });
    }
    (await recorder.build('decode')).run();
    await this.#gpu.idle();
    work.destroy();
  }

  /** Weights of the last read of a parameter: bits of f32, rows x stride, zeros in the pads. @throws DeviceLostError */
  async fetchedWeights(name: string): Promise<Uint32Array<ArrayBuffer>> {
    const { rows, columns, stride } = this.fetched.layout.find(name);
    const words = await this.#gpu.readWords(this.fetched.matrix(name));
    const planned = this.#plan.tensors.find(({ slice, codes16 }) => codes16 && slice.name === name);
    if (!planned || this.fused(planned.slice.layer)) return words.slice(0, rows * stride);
    const { scale } = this.#formatOf(name);
    const codes = new Uint16Array(words.buffer, words.byteOffset, rows * stride);
    const weights = Float32Array.from(codes, (code, i) => (i % stride < columns ? decodeCode16(code, scale) : 0));
    return new Uint32Array(weights.buffer);
  }

  /** The fitted codec of a parameter, which converts weights to codes and back. */
  codecOf(name: string): Codec {
    return this.#formatOf(name).codec;
  }

  /** All inputs that determine which cells of a parameter fail in one read of the current load; for the reference. */
  faultSamplerOf(name: string, pass = 0, image?: number): FaultSampler {
    const { slice, memory, tensor } = this.#find(name);
    const faults = this.#faults.layers.get(slice.layer)!;
    const sampler = this.#faultSampler(memory, faults, { number: slice.index, origin: tensor.origin, pass, image });
    return { ...sampler, zones: this.#placed?.zonesOf(name) };
  }

  #faultSampler(
    memory: StoredMemory,
    { sources }: PlannedFaults,
    read: { number: number; origin: number; pass: number; image?: number },
  ): FaultSampler {
    const { seed, granularity, geometry } = this.config;
    const key = tensorKey(seed, this.#chip(), read.number);
    const [load, first] = this.#readNumbers();
    const pass = granularity === 'pass' || granularity === 'inference' ? read.pass : 0;
    return {
      storageBits: storageBitsOf(formatBits(memory.format)),
      sources,
      ecc: memory.ecc,
      invertedBits: memory.inverted ? failingBits(memory) : undefined,
      geometry,
      keys: {
        chip: readKey(key, 0),
        load: readKey(key, load),
        read: readKey(key, first + pass, granularity === 'inference' ? (read.image ?? 0) : undefined),
      },
      device: deviceKey(seed, this.#chip()),
      origin: read.origin,
    };
  }

  /** The places of the parameters in the current load. @throws Error before `load` */
  get placed(): PlacedTensors {
    if (!this.#placed) throw new Error('the memory has no draw; call load first');
    return this.#placed;
  }

  /** The full scale of a parameter's format, just above its largest value; noise levels are multiples of it. */
  fullScaleOf(name: string): number {
    return this.#formatOf(name).fullScale;
  }

  /**
   * Root mean square of the change that bit errors at `rate` cause in the weights and biases of a layer, under its current
   * number format; moment-matched noise is scaled to it. @throws ConfigError for floating point, DeviceLostError
   */
  async flipDeviation(layer: string, rate: number): Promise<number> {
    let [sum, count] = [0, 0];
    for (const { slice, memory } of this.#plan.tensors) {
      if (slice.layer !== layer) continue;
      if ('nonFinite' in memory.format) {
        throw new ConfigError(`memory.layers.${layer}.format: flips of ${memory.format.kind} have no finite moments`);
      }
      const codec = this.codecOf(slice.name);
      const variance = flipVariance(
        await this.readCodes(slice.name),
        slice,
        codec,
        memory.format.kind === 'fixed' && memory.format.representation !== 'twos-complement',
        rate,
      );
      sum += slice.rows * slice.columns * variance;
      count += slice.rows * slice.columns;
    }
    if (count === 0) throw new Error(`${layer} has no number format`);
    return Math.sqrt(sum / count);
  }

  /** Number of the chip of the current draw. */
  #chip(): number {
    const { chip, granularity } = this.config;
    return granularity === 'chip' ? chip + this.#draw : chip;
  }

  /** Numbers of the current load and of its first read. */
  #readNumbers(): [load: number, read: number] {
    const { granularity } = this.config;
    if (granularity === 'chip') return [0, 0];
    return [this.#draw, granularity === 'load' ? this.#draw : this.#draw * PASSES];
  }

  #find(name: string): PlannedTensor {
    const planned = this.#plan.tensors.find(({ slice }) => slice.name === name);
    if (!planned) throw new Error(`${name} has no number format`);
    return planned;
  }

  #formatOf(name: string): FittedFormat {
    return this.#formats.get(this.#find(name).slice.name)!;
  }

  #codesOf({ offset, size }: PlannedTensor): BufferView {
    return { buffer: this.#codes!.buffer, offset, size };
  }

  /** The part of `fetched` that holds a parameter's codes of 16 bits. */
  #codes16Of({ slice }: PlannedTensor): Matrix {
    const matrix = this.fetched.matrix(slice.name);
    return { ...matrix, size: matrix.size / 2 };
  }

  /** Size of the memory image; 0 before anything was stored. */
  get imageBytes(): number {
    return this.#codes?.size ?? 0;
  }

  /** A stored parameter, and the buffers from which kernels read it. @throws Error if it is not stored */
  storedTensor(name: string): { planned: PlannedTensor; codes: BufferView; faultTable: BufferView } {
    return { planned: this.#find(name), codes: this.#codes!, faultTable: this.#table.parameters };
  }

  /** Records the encoding of the current parameters, with the ranges of the last measurement. */
  recordEncode(recorder: Recorder): void {
    for (const { slice, tensor } of this.#plan.tensors) {
      const weights = this.#parameters.matrix(slice.name);
      recordEncode(recorder, { tensor, weights, faultTable: this.#table.parameters, codes: this.#codes! });
    }
  }

  #recordMaterialise(recorder: Recorder, passOffset: number): void {
    const { layers } = this.config;
    for (const placed of this.#plan.tensors) {
      const { slice, tensor, memory, codes16 } = placed;
      const fused = this.fused(slice.layer);
      if (fused && !this.#corrected(slice.layer)) continue;
      const retained = codes16 ? 'codes16' : 'f32';
      const fetched = codes16 ? this.#codes16Of(placed) : this.fetched.matrix(slice.name);
      const read = fused ? { ...tensor, fetch: fetchOf(memory, []) } : tensor;
      recordMaterialise(recorder, {
        tensor: read,
        codes: this.#codes!,
        faultTable: this.#table.parameters,
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
        faultTable: this.#table.parameters,
        fetched: this.fetched.matrix(slice.name),
        passOffset,
      });
    }
  }

  #program(label: string, variant: string, record: (recorder: Recorder) => void): Promise<Program> {
    const key = `${label} ${variant}`;
    let program = this.#programs.get(key);
    if (!program) {
      const recorder = new Recorder(this.#gpu);
      record(recorder);
      program = recorder.build(label);
      this.#programs.set(key, program);
    }
    return program;
  }
}

/** Bytes of `size` bytes of codes with their check bits and the flags of inverted storage, one bit for 16 codes. */
function storedBytes(size: number, { ecc, inverted, format }: StoredMemory): number {
  const flags = inverted ? size / (2 * storageBitsOf(formatBits(format))) / 8 : 0;
  return size * (ecc ? 9 / 8 : 1) + flags;
}
