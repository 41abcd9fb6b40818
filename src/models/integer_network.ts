/**
 * A victim that computes with integers only: bytes of weights as the memory returns them, flipped bits included, times bytes of inputs,
 * in sums of 32 bits. Integers have the same sums in any order, so its answers are the same bits on every adapter, and anybody
 * can replay them; those of a network in floating point depend on the order of sums and on the contraction of products.
 */
import { ConfigError, ShapeError } from '../errors.ts';
import { Arena, ROW_ALIGNMENT, roundUp } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import type { ApproximateMemory } from '../injection/approximate_memory.ts';
import { type ByteMatrix, type Rescaling, recordIntegerProduct } from '../kernels/gemm_int8.ts';
import type { DenseSpec } from '../layers/dense.ts';
import type { LayerSpec } from '../layers/kinds.ts';
import { roundHalfEven } from '../memory/integer.ts';

/** One layer, as its kernel needs it. */
interface IntegerLayer {
  readonly spec: DenseSpec;
  /** 256 times the number of sums that one unit of a bias is worth. */
  readonly bias: number;
  /** Undefined for the last layer, whose sums are the logits. */
  readonly rescaling: Rescaling | undefined;
}

/** The largest byte of an input, and of the output of a layer without errors. */
const LARGEST = 127;

/** The rescaling with which the sums of largest absolute value `largest` become bytes of at most 127. */
export function fitRescaling(largest: number, relu: boolean): Rescaling {
  const ratio = LARGEST / Math.max(largest, 1);
  for (let shift = 1; shift < 15; shift++) {
    const multiplier = Math.round(ratio * 2 ** (16 + shift));
    // Sums that are too small for a shift of 1 use less than all of a byte.
    if (multiplier >= 2 ** 15) return { multiplier: Math.min(multiplier, 2 ** 16 - 1), shift, relu };
  }
  return { multiplier: Math.round(ratio * 2 ** 31), shift: 15, relu };
}

/** Bytes of inputs: the nearest multiple of limit / 127, ties to even, within -127..127. @param limit largest absolute value */
export function inputBytes(values: ArrayLike<number>, limit = 1): Int8Array<ArrayBuffer> {
  return Int8Array.from(values, (value) =>
    Math.max(-LARGEST, Math.min(LARGEST, roundHalfEven((LARGEST * value) / limit))),
  );
}

/** A network of dense layers whose weights lie in approximate memory as bytes. */
export class IntegerNetwork {
  readonly layers: readonly IntegerLayer[];
  readonly #memory: ApproximateMemory;
  readonly #gpu: Gpu;

  private constructor(gpu: Gpu, memory: ApproximateMemory, layers: readonly IntegerLayer[]) {
    this.#gpu = gpu;
    this.#memory = memory;
    this.layers = layers;
  }

  /**
   * Fits the scales of the layers, without errors: the largest sum over `images` becomes the largest byte. Only integers and
   * the scales of the stored tensors decide, so every adapter fits the same.
   * @param specs dense layers with biases, without activation or with a ReLU behind all but the last
   * @param memory all layers of which are stored as int8 with one scale for each tensor
   * @param images [rows, inputs] bytes, see {@link inputBytes}
   * @param limit the value of a byte of 127 of an image
   * @throws ConfigError for another network or format, DeviceLostError
   */
  static async fit(
    gpu: Gpu,
    memory: ApproximateMemory,
    specs: readonly LayerSpec[],
    images: Int8Array,
    limit = 1,
  ): Promise<IntegerNetwork> {
    const arena = new Arena(gpu);
    const layers: IntegerLayer[] = [];
    let x = inputMatrix(gpu, arena, images, inputsOf(specs));
    let unit = limit / LARGEST;
    for (const [i, spec] of specs.entries()) {
      const isLast = i === specs.length - 1;
      requireDense(spec, isLast);
      const [weight, offset] = ['weight', 'bias'].map((name) => scaleOf(memory, `${spec.name}.${name}`));
      const bias = Math.round((256 * offset) / (unit * weight));
      if (isLast) {
        layers.push({ spec, bias, rescaling: undefined });
        break;
      }
      const [w, b] = [
        await storedBytes(gpu, arena, memory, `${spec.name}.weight`),
        await storedBytes(gpu, arena, memory, `${spec.name}.bias`),
      ];
      const compute = async (y: ByteMatrix, rescaling?: Rescaling): Promise<ByteMatrix> => {
        const recorder = new Recorder(gpu);
        recordIntegerProduct(recorder, { label: `fit ${spec.name}`, x, w, b, bias, y, rescaling });
        (await recorder.build('fit')).run();
        return y;
      };
      const sums = await compute(bytes(arena, 'sums', x.rows, spec.outputs, 4));
      const words = new Int32Array((await gpu.readWords({ ...sums, size: sums.rows * sums.stride * 4 })).buffer);
      const largest = words.reduce((most, sum) => Math.max(most, Math.abs(sum)), 0);
      const rescaling = fitRescaling(largest, spec.activation === 'relu');
      layers.push({ spec, bias, rescaling });
      x = await compute(bytes(arena, spec.name, x.rows, spec.outputs), rescaling);
      unit *= (weight * 2 ** (16 + rescaling.shift)) / rescaling.multiplier;
    }
    arena.destroy();
    return new IntegerNetwork(gpu, memory, layers);
  }

  /**
   * The logits of images, as the weights are read now: one read of every tensor per call of the returned function, which follows
   * later loads of the memory.
   * @param images [rows, inputs] bytes
   * @throws ShapeError, LimitError, ShaderError, DeviceLostError
   */
  async forImages(images: Int8Array): Promise<IntegerPass> {
    const arena = new Arena(this.#gpu);
    const recorder = new Recorder(this.#gpu);
    let x = inputMatrix(this.#gpu, arena, images, this.layers[0].spec.inputs);
    const { rows } = x;
    for (const { spec, bias, rescaling } of this.layers) {
      const [w, b] = (['weight', 'bias'] as const).map((name) => {
        const { rows: count, columns, stride, length } = this.#memory.exact.layout.find(`${spec.name}.${name}`);
        const view = arena.allocate(`bytes of ${spec.name}.${name}`, length);
        const matrix: ByteMatrix = { ...view, size: length, rows: count, columns, stride };
        this.#memory.recordFetchCodes(recorder, `${spec.name}.${name}`, matrix);
        return matrix;
      });
      const y = bytes(arena, spec.name, rows, spec.outputs, rescaling ? 1 : 4);
      recordIntegerProduct(recorder, { label: spec.name, x, w, b, bias, y, rescaling });
      x = y;
    }
    return new IntegerPass(this.#gpu, arena, await recorder.build('integer network'), x);
  }
}

/** A batch of images in a network of integers. */
export class IntegerPass {
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #program: Program;
  readonly #y: ByteMatrix;

  constructor(gpu: Gpu, arena: Arena, program: Program, y: ByteMatrix) {
    this.#gpu = gpu;
    this.#arena = arena;
    this.#program = program;
    this.#y = y;
  }

  /** Reads the memory once and computes the logits. @param pass of the read, see fetchCodes */
  run(pass = 0): void {
    this.#program.setStep({ passIndex: pass });
    this.#program.run();
  }

  /** Runs, and returns the logits: sums, [rows, classes]. @throws DeviceLostError */
  async logits(pass = 0): Promise<Int32Array<ArrayBuffer>> {
    const { rows, columns, stride } = this.#y;
    this.run(pass);
    const words = new Int32Array((await this.#gpu.readWords({ ...this.#y, size: rows * stride * 4 })).buffer);
    return Int32Array.from(
      { length: rows * columns },
      (_, i) => words[Math.floor(i / columns) * stride + (i % columns)],
    );
  }

  destroy(): void {
    this.#arena.destroy();
  }
}

function requireDense(spec: LayerSpec, last: boolean): asserts spec is DenseSpec {
  if (spec.kind !== 'dense' || spec.bias === false) {
    throw new ConfigError(`layer ${spec.name}: a network of integers has dense layers with biases only`);
  }
  if (spec.activation !== 'none' && (spec.activation !== 'relu' || last)) {
    throw new ConfigError(
      `layer ${spec.name}: activation ${String(spec.activation)}; in a network of integers it is none or, before the last layer, relu`,
    );
  }
}

/** The value of one unit of a stored tensor. @throws ConfigError unless it is stored as int8 with one scale */
function scaleOf(memory: ApproximateMemory, name: string): number {
  const { layer } = memory.exact.layout.find(name);
  const stored = memory.config.layers[layer];
  if (stored?.kind !== 'stored' || stored.format.kind !== 'int8' || stored.format.scale === 'per-channel') {
    throw new ConfigError(
      `layer ${layer}: a network of integers needs it stored as int8 with one scale for each tensor`,
    );
  }
  return new Float32Array(Uint32Array.of(memory.codecOf(name).decode(1, 0)).buffer)[0];
}

/** The stored bytes of a parameter, without errors. */
async function storedBytes(gpu: Gpu, arena: Arena, memory: ApproximateMemory, name: string): Promise<ByteMatrix> {
  const words = await memory.readCodes(name);
  const { rows, columns, stride } = memory.exact.layout.find(name);
  const view = arena.allocate(name, words.byteLength);
  gpu.write(view, words);
  return { ...view, rows, columns, stride };
}

/** The number of inputs of a network whose first layer is dense. */
function inputsOf([first]: readonly LayerSpec[]): number {
  requireDense(first, false);
  return first.inputs;
}

/** Images as the first x. @throws ShapeError unless there is a whole number of them */
function inputMatrix(gpu: Gpu, arena: Arena, images: Int8Array, inputs: number): ByteMatrix {
  const rows = images.length / inputs;
  if (!Number.isInteger(rows) || rows === 0) {
    throw new ShapeError(`${images.length} bytes are not a whole number of images of ${inputs} values`);
  }
  const x = bytes(arena, 'images', rows, inputs);
  const padded = new Uint8Array(rows * x.stride);
  for (let row = 0; row < rows; row++) {
    padded.set(new Uint8Array(images.buffer, images.byteOffset + row * inputs, inputs), row * x.stride);
  }
  gpu.write(x, padded);
  return x;
}

/** A matrix of values of `size` bytes. */
function bytes(arena: Arena, label: string, rows: number, columns: number, size = 1): ByteMatrix {
  const stride = roundUp(columns, ROW_ALIGNMENT);
  return { ...arena.allocate(label, rows * stride * size), rows, columns, stride };
}
