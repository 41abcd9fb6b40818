/** The ranges of a model's parameters, and number formats fitted to them. */
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { Recorder } from '../gpu/recorder.ts';
import { MAX_ABS_SCRATCH_BYTES, recordMaxAbs, recordRowMaxAbs } from '../kernels/reduce.ts';
import type { FlatParameters, ParameterSlice } from '../layers/parameters.ts';
import { type Codec, fixedCodec, floatCodec, integerCodec } from '../memory/codec.ts';
import type { LayerMemory, NumberFormat, StoredMemory } from '../memory/config.ts';
import { fixedExponent } from '../memory/fixed_point.ts';
import { INTEGER_BITS, integerScale } from '../memory/integer.ts';

/** Value of one unit of a format, and its inverse. */
export interface Scale {
  readonly scale: number;
  readonly inverse: number;
}

/** A number format fitted to a tensor. Floating point has scale 1. */
export interface FittedFormat extends Scale {
  readonly codec: Codec;
  /** Scales of the rows, if every row has its own. */
  readonly rows?: readonly Scale[];
  /** The value just above the largest that the format holds; for floating point the largest weight. */
  readonly fullScale: number;
}

/**
 * Fits a number format to a tensor.
 * @param largest max |value| of the tensor
 * @param fixed.exponent exponent of fixed point; default: fitted to `largest` with the format's headroom
 * @param fixed.rows max |value| of every row, for integers with one scale per row
 */
export function fitFormat(
  format: NumberFormat,
  largest: number,
  fixed: { exponent?: number; rows?: Float32Array } = {},
): FittedFormat {
  if ('nonFinite' in format) {
    return { codec: floatCodec(format.kind, format.nonFinite), scale: 1, inverse: 1, fullScale: largest };
  }
  if (format.kind === 'fixed') {
    const { bits, headroom, encoding, representation } = format;
    const exponent = fixed.exponent ?? fixedExponent(largest, bits, headroom, encoding);
    const codec = fixedCodec(bits, exponent, encoding, representation);
    return { codec, scale: 2 ** exponent, inverse: 2 ** -exponent, fullScale: 2 ** (exponent + bits - 1) };
  }
  const bits = INTEGER_BITS[format.kind];
  const whole = integerScale(largest, bits);
  const rows = fixed.rows && Array.from(fixed.rows, (each) => integerScale(each, bits));
  return { codec: integerCodec(bits, rows ?? [whole]), ...whole, rows, fullScale: whole.scale * 2 ** (bits - 1) };
}

/** True if a layer's format has a scale for every row of its weights. */
const fitsRows = (memory: LayerMemory): boolean =>
  memory.kind === 'stored' && 'scale' in memory.format && memory.format.scale === 'per-channel';

/** The ranges of the weights, measured on the device. */
export class ParameterRanges {
  readonly #gpu: Gpu;
  readonly #parameters: FlatParameters;
  /** Max |w| and max w of every parameter. */
  #largest: readonly { absolute: number; raw: number }[] = [];
  /** Max |w| of every row of a parameter, measured when a format needs it. */
  readonly #rows = new Map<string, Float32Array>();

  constructor(gpu: Gpu, parameters: FlatParameters) {
    this.#gpu = gpu;
    this.#parameters = parameters;
  }

  /** Measures the current parameters. @throws DeviceLostError */
  async measure(): Promise<void> {
    const work = new Arena(this.#gpu);
    const recorder = new Recorder(this.#gpu);
    const scratch = work.allocate('max abs scratch', MAX_ABS_SCRATCH_BYTES);
    const outputs = this.#parameters.layout.slices.map(({ name }) => {
      const output = work.allocate(`${name} range`, 8);
      recordMaxAbs(recorder, { input: this.#parameters.matrix(name), scratch, output });
      return { ...output, size: 8 };
    });
    (await recorder.build('ranges')).run();
    const results = await this.#gpu.read(...outputs);
    work.destroy();
    this.#largest = results.map((bytes) => {
      const [absolute, raw] = new Float32Array(bytes);
      return { absolute, raw };
    });
    this.#rows.clear();
  }

  /** Measures the rows of a layer's weights if its format needs their ranges. @throws DeviceLostError */
  async measureRows(layer: string, memory: LayerMemory): Promise<void> {
    if (!fitsRows(memory)) return;
    const slice = this.#parameters.layout.find(`${layer}.weight`);
    if (slice.rows === 1 || this.#rows.has(slice.name)) return;
    const work = new Arena(this.#gpu);
    const output = { ...work.allocate('row ranges', slice.rows * 4), size: slice.rows * 4 };
    const recorder = new Recorder(this.#gpu);
    recordRowMaxAbs(recorder, { input: this.#parameters.matrix(slice.name), output });
    (await recorder.build('row ranges')).run();
    this.#rows.set(slice.name, await this.#gpu.readFloats(output));
    work.destroy();
  }

  /** Fits the format of a parameter. @param stored all stored parameters, which may share an exponent */
  fit(slice: ParameterSlice, memory: StoredMemory, stored: readonly ParameterSlice[]): FittedFormat {
    const { format } = memory;
    const { absolute } = this.#largest[slice.index];
    if (format.kind !== 'fixed') {
      return fitFormat(format, absolute, { rows: fitsRows(memory) ? this.#rows.get(slice.name) : undefined });
    }
    const { bits, exponent, headroom, encoding } = format;
    if (typeof exponent === 'number') return fitFormat(format, absolute, { exponent });
    // As published: the signed maximum, which ignores negative weights of larger magnitude.
    const range = encoding === 'faithful' ? 'raw' : 'absolute';
    const fitted =
      exponent === 'per-tensor'
        ? [slice]
        : exponent === 'shared'
          ? stored
          : [this.#parameters.layout.find(`${exponent.layer}.weight`)];
    const largest = Math.max(...fitted.map(({ index }) => this.#largest[index][range]));
    return fitFormat(format, absolute, { exponent: fixedExponent(largest, bits, headroom, encoding) });
  }
}
