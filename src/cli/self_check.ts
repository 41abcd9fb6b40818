/**
 * Every kernel once, on a small odd shape, against its twin on the CPU: what `midas doctor` runs before it trusts an
 * adapter. The test suite asks the same of many shapes; this asks it of the adapter at hand.
 */
// The twins live once, in test/reference, and so do the tolerances: a copy here would be a second opinion to keep alike.
import { activationBackward, activationForward } from '../../test/reference/activation.ts';
import { gemm, operandShapes } from '../../test/reference/gemm.ts';
import { nonLocalMeans, sharpen, totalVariation, totalVariationGradient } from '../../test/reference/image.ts';
import { inversionJudge, inversionStep, searchDirections, searchGradient } from '../../test/reference/inversion.ts';
import { accumulateMetrics, confidenceCost, mse, softmaxCrossEntropy } from '../../test/reference/loss.ts';
import { adam, sgd } from '../../test/reference/optimizer.ts';
import { corrupt, initialize } from '../../test/reference/random.ts';
import { columnSum, maxAbs, rowNorm, rowSum } from '../../test/reference/reduce.ts';
import {
  logSoftmaxBackward,
  logSoftmaxForward,
  softmaxBackward,
  softmaxForward,
} from '../../test/reference/softmax.ts';
import { sumTolerance, TOLERANCES, type Tolerance } from '../../test/support/tolerances.ts';
import { renderFaces } from '../data/render_faces.ts';
import { InterruptedError } from '../errors.ts';
import { Arena, type Matrix, roundUp } from '../gpu/arena.ts';
import type { BufferView, Gpu } from '../gpu/device.ts';
import { type Dispatch, type Program, Recorder } from '../gpu/recorder.ts';
import { type Activation, recordActivationBackward, recordActivationForward } from '../kernels/activation.ts';
import { packImages, recordCorrupt, recordGatherBatch } from '../kernels/batch.ts';
import {
  type GemmVariant,
  recordApproximateGemm,
  recordGemm,
  type StoredTensor,
  type Transposition,
} from '../kernels/gemm.ts';
import {
  recordNonLocalMeans,
  recordSharpen,
  recordTotalVariation,
  recordTotalVariationValue,
} from '../kernels/image.ts';
import { type Initialization, recordInitialize } from '../kernels/initialize.ts';
import {
  recordInversionJudge,
  recordInversionStep,
  recordSearchDirections,
  recordSearchGradient,
  STATE_WORDS,
} from '../kernels/inversion.ts';
import {
  type ConfidenceCost,
  recordAccumulateMetrics,
  recordConfidenceCost,
  recordMse,
  recordSoftmaxCrossEntropy,
} from '../kernels/loss.ts';
import { recordEncode, recordMaterialise } from '../kernels/memory.ts';
import { recordAdam, recordSgd, writeAdamStep, writeSgdStep } from '../kernels/optimizer.ts';
import { recordCopy, recordFmaCeiling, recordHashCeiling } from '../kernels/probe.ts';
import {
  columnSumScratchBytes,
  MAX_ABS_SCRATCH_BYTES,
  recordColumnSum,
  recordMaxAbs,
  recordRowNorm,
  recordRowSum,
} from '../kernels/reduce.ts';
import {
  recordLogSoftmaxBackward,
  recordLogSoftmaxForward,
  recordSoftmaxBackward,
  recordSoftmaxForward,
} from '../kernels/softmax.ts';
import { fetchTensor, flipTable, MAP_WORDS, readKey, tensorKey } from '../memory/fault_map.ts';
import { BLOCK_CODES, encodeFixed, packCodes } from '../memory/fixed_point.ts';
import { pcg4d } from '../memory/hash.ts';
import { noiseTensor } from '../memory/noise.ts';
import { Random } from '../random.ts';

/** How one kernel did. */
export interface KernelCheck {
  readonly kernel: string;
  /** The largest absolute error; where an element is beyond its tolerance, that of the worst. NaN: no number came. */
  readonly maxError: number;
  /** What was allowed at that element. */
  readonly tolerance: number;
  readonly ok: boolean;
  /** Shader files that ran, relative to shaders/: entry points, and what filled their slots. */
  readonly shaders: readonly string[];
  /** Why nothing came, in the words of the compiler or the launcher. */
  readonly failure?: string;
}

interface Output {
  readonly view: BufferView;
  /** As it must lie in the buffer, pads included. */
  readonly expected: ArrayLike<number>;
  readonly tolerance: (index: number) => Tolerance;
  readonly words: boolean;
}

interface Check {
  readonly kernel: string;
  record(trial: Trial): void;
  /** Sets the step uniform. */
  prepare?(program: Program): void;
}

/** Notes which shaders it was given, so that what a check says it covers is what it ran. */
class ListingRecorder extends Recorder {
  readonly shaders = new Set<string>();

  override record(dispatch: Dispatch): void {
    const { path, includes = {} } = dispatch.shader;
    for (const file of [path, ...Object.values(includes)]) this.shaders.add(file);
    super.record(dispatch);
  }
}

/** Buffers, recorded dispatches and expectations of one check. */
class Trial {
  readonly gpu: Gpu;
  readonly arena: Arena;
  readonly recorder: ListingRecorder;
  readonly outputs: Output[] = [];

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    this.arena = new Arena(gpu);
    this.recorder = new ListingRecorder(gpu);
  }

  /** A matrix of these values with zero pads, and zero rows up to a multiple of 4, as parameters have them. */
  matrix(rows: number, columns: number, values: ArrayLike<number>): Matrix {
    const matrix = this.arena.matrix('checked', roundUp(rows, 4), columns);
    this.gpu.write(matrix, pad(values, rows, columns, matrix.stride));
    return { ...matrix, rows };
  }

  /** A matrix to be written: 99 everywhere but in the pads, so that what a kernel forgets is seen. */
  output(rows: number, columns: number): Matrix {
    return this.matrix(rows, columns, new Float32Array(rows * columns).fill(99));
  }

  buffer(values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>): BufferView {
    const view = this.arena.allocate('checked', values.byteLength);
    this.gpu.write(view, values);
    return view;
  }

  /** A buffer of `count` words to be written. */
  results(count: number): BufferView {
    return this.buffer(new Float32Array(count).fill(99));
  }

  /** Expects rows x columns values in a matrix, and zeros in its pads. */
  expectMatrix(matrix: Matrix, expected: ArrayLike<number>, tolerance: Tolerance): void {
    const { rows, columns, stride } = matrix;
    this.outputs.push({
      view: { ...matrix, size: rows * stride * 4 },
      expected: pad(expected, rows, columns, stride, Float64Array),
      tolerance: (i) => (i % stride < columns ? tolerance : TOLERANCES.exact),
      words: false,
    });
  }

  /** Expects a buffer to begin with these f32. */
  expect(view: BufferView, expected: ArrayLike<number>, tolerance: Tolerance): void {
    this.outputs.push({
      view: { ...view, size: expected.length * 4 },
      expected,
      tolerance: () => tolerance,
      words: false,
    });
  }

  /** Expects a buffer to begin with these u32. */
  expectWords(view: BufferView, expected: Uint32Array): void {
    const words = { view: { ...view, size: expected.length * 4 }, expected, words: true };
    this.outputs.push({ ...words, tolerance: () => TOLERANCES.exact });
  }

  destroy(): void {
    this.arena.destroy();
    this.recorder.step.buffer.destroy();
  }
}

/** Values of a matrix with rows of `stride` elements, zero behind `columns`. */
function pad<T extends Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> = Float32Array<ArrayBuffer>>(
  values: ArrayLike<number>,
  rows: number,
  columns: number,
  stride: number,
  type: { new (length: number): T } = Float32Array as unknown as { new (length: number): T },
): T {
  const padded = new type(rows * stride);
  for (let i = 0; i < rows * columns; i++) padded[Math.floor(i / columns) * stride + (i % columns)] = values[i];
  return padded;
}

/** The inverse of {@link pad}. */
function unpad(padded: ArrayLike<number>, rows: number, columns: number, stride: number): Float32Array {
  return Float32Array.from(
    { length: rows * columns },
    (_, i) => padded[Math.floor(i / columns) * stride + (i % columns)],
  );
}

/** Uniform numbers in -1..1 times `scale`, the same for the same seed. */
function numbers(count: number, seed: number, scale = 1): Float32Array<ArrayBuffer> {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => (random.nextU32() / 2 ** 31 - 1) * scale);
}

/** Uniform numbers in 0..1: pixels. */
function pixels(count: number, seed: number): Float32Array<ArrayBuffer> {
  return numbers(count, seed).map((value) => (value + 1) / 2);
}

const ROWS = 5;
const COLUMNS = 37;
const SIZE = ROWS * COLUMNS;
/** One class a row, all below COLUMNS. */
const TARGETS = Uint32Array.of(3, 0, 36, 17, 3);

const TRANSPOSITIONS: readonly Transposition[] = ['nt', 'nn', 'tn'];
/** Keys of an object, so that a variant without a check does not compile. */
const VARIANTS = Object.keys({
  'register-20x20': true,
  'register-16x16': true,
  'register-8x8': true,
  shared: true,
} satisfies Record<GemmVariant, true>) as GemmVariant[];

function gemmCheck(
  kernel: string,
  transposition: Transposition,
  [m, n, k]: readonly [number, number, number],
  options: { variant: GemmVariant; splitK?: number; bias?: boolean; activation?: Activation },
): Check {
  return {
    kernel,
    record(trial) {
      const product = { transposition, m, n, k };
      const shapes = operandShapes(product);
      const [a, b] = [numbers(m * k, 1), numbers(n * k, 2)];
      const bias = options.bias ? numbers(n, 3) : undefined;
      const c = trial.output(m, n);
      recordGemm(trial.recorder, trial.arena, {
        label: kernel,
        transposition,
        a: trial.matrix(...shapes.a, a),
        b: trial.matrix(...shapes.b, b),
        c,
        ...options,
        bias: bias && trial.matrix(1, n, bias),
      });
      trial.expectMatrix(c, gemm(product, a, b, bias, options.activation), plus(sumTolerance(k), TOLERANCES.tanh));
    },
  };
}

const plus = (a: Tolerance, b: Tolerance): Tolerance => ({
  relative: a.relative,
  absolute: a.absolute + b.absolute,
});

// Approximate memory: 12-bit codes of weights in -1..1, a rate at which most blocks have flips and some have many.
const BITS = 12;
const EXPONENT = 1 - BITS;
const TABLE = flipTable(BITS, 0.02);
const READ = 40;
const PASS = 6;
const FIRST_IMAGE = 3;
const GRANULARITY = { load: 0, pass: 1, inference: 2 } as const;

interface CheckedTensor {
  readonly stored: StoredTensor;
  /** What the device must read, rows x stride: the twin's answer for one pass and, at `inference`, one image. */
  fetch(pass: number, image?: number): Float32Array;
}

/** Some tensors of random codes in one memory image, laid out and keyed as src/models/approximate_memory.ts does. */
function memoryImage(
  trial: Trial,
  granularity: keyof typeof GRANULARITY,
  shapes: readonly (readonly [rows: number, columns: number])[],
): { codes: BufferView; maps: BufferView; tensors: CheckedTensor[] } {
  const maps = new Uint32Array(shapes.length * MAP_WORDS);
  const images: Uint32Array[] = [];
  let origin = 0;
  const tensors = shapes.map(([rows, columns], map): CheckedTensor => {
    const stride = roundUp(columns, BLOCK_CODES);
    const key = tensorKey(11, 2, map);
    writeMap(maps, map, key, granularity);
    const random = new Random(20 + map);
    const codes = Array.from({ length: rows * columns }, () => random.uniformInt(2 ** BITS));
    const words = packCodes(pad(codes, rows, columns, stride));
    const image = { words, rows, columns, stride, bits: BITS, exponent: EXPONENT };
    const whole = new Uint32Array((roundUp(rows, 4) * stride) / 2);
    whole.set(words);
    images.push(whole);
    const stored = { map, origin, rows, columns, stride };
    origin += whole.length / 8;
    return {
      stored,
      fetch: (pass, imageIndex) => fetchTensor(image, readKey(key, READ + pass, imageIndex), TABLE),
    };
  });
  const codes = new Uint32Array(origin * 8);
  tensors.forEach(({ stored }, i) => {
    codes.set(images[i], stored.origin * 8);
  });
  return { codes: trial.buffer(codes), maps: trial.buffer(maps), tensors };
}

/** One tensor's row of the table of maps; the layout is in shaders/common/fetch_approximate.wgsl. */
function writeMap(
  maps: Uint32Array<ArrayBuffer>,
  map: number,
  key: readonly number[],
  granularity: keyof typeof GRANULARITY,
  scale = 2 ** EXPONENT,
): void {
  const at = map * MAP_WORDS;
  const floats = new Float32Array(maps.buffer);
  maps.set([...key, READ, GRANULARITY[granularity]], at);
  floats.set([scale, 1 / scale], at + 4);
  maps.set([BITS, TABLE.length, ...TABLE], at + 6);
}

function approximateGemmCheck(transposition: 'nt' | 'nn', perImage: boolean): Check {
  const [m, n, k] = [19, 21, 37];
  const kernel = `gemm ${transposition} ${perImage ? 'per image' : 'approximate'}`;
  const passOffset = transposition === 'nt' ? 0 : 1;
  return {
    kernel,
    record(trial) {
      const product = { transposition, m, n, k };
      const [rows, columns] = operandShapes(product).b;
      const { codes, maps, tensors } = memoryImage(trial, perImage ? 'inference' : 'pass', [
        [rows, columns],
        [1, n],
      ]);
      const [weight, bias] = tensors;
      const withBias = transposition === 'nt';
      const a = numbers(m * k, 1);
      const c = trial.output(m, n);
      recordApproximateGemm(trial.recorder, {
        label: kernel,
        transposition,
        a: trial.matrix(m, k, a),
        codes,
        maps,
        weight: weight.stored,
        bias: withBias ? bias.stored : undefined,
        c,
        activation: withBias ? 'relu' : 'none',
        perImage,
        passOffset,
      });
      const read = (tensor: CheckedTensor, image?: number) => {
        const { stored } = tensor;
        return unpad(tensor.fetch(PASS + passOffset, image), stored.rows, stored.columns, stored.stride);
      };
      const multiply = (count: number, first: number, image?: number) =>
        gemm(
          { ...product, m: count },
          a.subarray(first * k, (first + count) * k),
          read(weight, image),
          withBias ? read(bias, image) : undefined,
          withBias ? 'relu' : 'none',
        );
      const expected = perImage
        ? Array.from({ length: m }, (_, row) => [...multiply(1, row, FIRST_IMAGE + row)]).flat()
        : multiply(m, 0);
      trial.expectMatrix(c, expected, plus(sumTolerance(k), TOLERANCES.tanh));
    },
    prepare({ stepWords }) {
      stepWords[0] = PASS;
      stepWords[1] = FIRST_IMAGE;
    },
  };
}

function encodeCheck(encoding: 'corrected' | 'faithful'): Check {
  return {
    kernel: `encode_fixed ${encoding}`,
    record(trial) {
      const weights = numbers(SIZE, 1, 1.2);
      const { maps, tensors } = memoryImage(trial, 'load', [[ROWS, COLUMNS]]);
      const { stored } = tensors[0];
      const codes = trial.results((ROWS * stored.stride) / 2);
      const faithful = encoding === 'faithful';
      recordEncode(trial.recorder, {
        tensor: stored,
        weights: trial.matrix(ROWS, COLUMNS, weights),
        maps,
        codes,
        faithful,
      });
      const expected = Array.from(weights, (weight) => encodeFixed(weight, BITS, EXPONENT, encoding));
      trial.expectWords(codes, packCodes(pad(expected, ROWS, COLUMNS, stored.stride)));
    },
  };
}

const materialiseCheck: Check = {
  kernel: 'materialise_fixed',
  record(trial) {
    const { codes, maps, tensors } = memoryImage(trial, 'pass', [
      [3, 17],
      [ROWS, COLUMNS],
    ]);
    const { stored, fetch } = tensors[1];
    const fetched = trial.results(ROWS * stored.stride);
    recordMaterialise(trial.recorder, { tensor: stored, kind: 'uniform', source: codes, maps, fetched, passOffset: 1 });
    trial.expect(fetched, fetch(PASS + 1), TOLERANCES.exact);
  },
  prepare({ stepWords }) {
    stepWords[0] = PASS;
  },
};

function noiseCheck(kind: 'gaussian' | 'laplacian'): Check {
  const scale = 0.25;
  return {
    kernel: `materialise_noise ${kind}`,
    record(trial) {
      const weights = numbers(SIZE, 1);
      const stride = roundUp(COLUMNS, BLOCK_CODES);
      const key = tensorKey(5, 0, 0);
      const maps = new Uint32Array(MAP_WORDS);
      writeMap(maps, 0, key, 'load', scale);
      const fetched = trial.results(ROWS * stride);
      recordMaterialise(trial.recorder, {
        tensor: { map: 0, origin: 0, rows: ROWS, columns: COLUMNS, stride },
        kind,
        source: trial.matrix(ROWS, COLUMNS, weights),
        maps: trial.buffer(maps),
        fetched,
        passOffset: 0,
      });
      const padded = pad(weights, ROWS, COLUMNS, stride);
      const expected = noiseTensor(padded, COLUMNS, stride, readKey(key, READ), kind, scale);
      // WGSL lets cos be off by 2^-11 and ln by 2^-21; the largest radius is 5.8.
      trial.expect(fetched, expected, { relative: 1e-6, absolute: scale * 5.8 * 2 ** -11 });
    },
  };
}

function activationChecks(activation: Activation): Check[] {
  return [
    {
      kernel: `activation_forward ${activation}`,
      record(trial) {
        const x = numbers(SIZE, 1, 4);
        const output = trial.output(ROWS, COLUMNS);
        recordActivationForward(trial.recorder, { activation, input: trial.matrix(ROWS, COLUMNS, x), output });
        trial.expectMatrix(output, activationForward(activation, x), TOLERANCES[activation]);
      },
    },
    {
      kernel: `activation_backward ${activation}`,
      record(trial) {
        const y = Float32Array.from(activationForward(activation, numbers(SIZE, 1, 4)));
        const gradient = numbers(SIZE, 2);
        const gradInput = trial.output(ROWS, COLUMNS);
        recordActivationBackward(trial.recorder, {
          activation,
          output: trial.matrix(ROWS, COLUMNS, y),
          gradOutput: trial.matrix(ROWS, COLUMNS, gradient),
          gradInput,
        });
        trial.expectMatrix(gradInput, activationBackward(activation, y, gradient), TOLERANCES.activationBackward);
      },
    },
  ];
}

function softmaxChecks(): Check[] {
  const forward = [
    ['softmax_forward', recordSoftmaxForward, softmaxForward, TOLERANCES.softmax],
    ['log_softmax_forward', recordLogSoftmaxForward, logSoftmaxForward, TOLERANCES.log_softmax],
  ] as const;
  const backward = [
    ['softmax_backward', recordSoftmaxBackward, softmaxForward, softmaxBackward],
    ['log_softmax_backward', recordLogSoftmaxBackward, logSoftmaxForward, logSoftmaxBackward],
  ] as const;
  const logits = numbers(SIZE, 1, 6);
  return [
    ...forward.map(
      ([kernel, record, twin, tolerance]): Check => ({
        kernel,
        record(trial) {
          const output = trial.output(ROWS, COLUMNS);
          record(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, logits), output });
          trial.expectMatrix(output, twin(logits, COLUMNS), tolerance);
        },
      }),
    ),
    ...backward.map(
      ([kernel, record, outputOf, twin]): Check => ({
        kernel,
        record(trial) {
          const y = Float32Array.from(outputOf(logits, COLUMNS));
          const gradient = numbers(SIZE, 2);
          const gradInput = trial.output(ROWS, COLUMNS);
          record(trial.recorder, {
            output: trial.matrix(ROWS, COLUMNS, y),
            gradOutput: trial.matrix(ROWS, COLUMNS, gradient),
            gradInput,
          });
          trial.expectMatrix(gradInput, twin(y, gradient, COLUMNS), TOLERANCES.softmaxBackward);
        },
      }),
    ),
  ];
}

function confidenceCheck(cost: ConfidenceCost): Check {
  return {
    kernel: `confidence_cost ${cost}`,
    record(trial) {
      const x = numbers(SIZE, 1, 3);
      const gradLogits = trial.output(ROWS, COLUMNS);
      const results = trial.results(2 * ROWS);
      const logits = trial.matrix(ROWS, COLUMNS, x);
      recordConfidenceCost(trial.recorder, { cost, logits, targets: trial.buffer(TARGETS), gradLogits, results });
      const expected = confidenceCost(cost, undefined, x, TARGETS, COLUMNS);
      trial.expectMatrix(gradLogits, expected.gradient, TOLERANCES.confidenceCost);
      trial.expect(results, expected.results, TOLERANCES.confidenceCost);
    },
  };
}

const LOSSES: readonly Check[] = [
  {
    kernel: 'softmax_cross_entropy',
    record(trial) {
      const x = numbers(SIZE, 1, 3);
      const gradLogits = trial.output(ROWS, COLUMNS);
      const results = trial.results(2 * ROWS);
      const logits = trial.matrix(ROWS, COLUMNS, x);
      recordSoftmaxCrossEntropy(trial.recorder, { logits, targets: trial.buffer(TARGETS), gradLogits, results });
      const expected = softmaxCrossEntropy(x, TARGETS, COLUMNS);
      trial.expectMatrix(gradLogits, expected.gradient, TOLERANCES.crossEntropyGradient);
      trial.expect(results, expected.results, TOLERANCES.cross_entropy);
    },
  },
  confidenceCheck('oneMinusConfidence'),
  confidenceCheck('negativeLogConfidence'),
  {
    kernel: 'mse',
    record(trial) {
      const [x, target] = [numbers(SIZE, 1), numbers(SIZE, 2)];
      const gradOutput = trial.output(ROWS, COLUMNS);
      const results = trial.results(2 * ROWS);
      recordMse(trial.recorder, {
        output: trial.matrix(ROWS, COLUMNS, x),
        target: trial.matrix(ROWS, COLUMNS, target),
        gradOutput,
        results,
      });
      const expected = mse(x, target, COLUMNS);
      trial.expectMatrix(gradOutput, expected.gradient, TOLERANCES.mseGradient);
      trial.expect(results, expected.results, TOLERANCES.mse);
    },
  },
  {
    kernel: 'accumulate_metrics',
    record(trial) {
      const before = Float32Array.of(2.5, 7, 11, 0);
      const results = numbers(2 * COLUMNS, 1);
      const metrics = trial.buffer(before);
      recordAccumulateMetrics(trial.recorder, { rows: COLUMNS, results: trial.buffer(results), metrics });
      trial.expect(metrics, accumulateMetrics(before, results), sumTolerance(COLUMNS));
    },
  },
];

const REDUCTIONS: readonly Check[] = [
  {
    kernel: 'column_sum',
    record(trial) {
      const [rows, columns] = [261, 7];
      const x = numbers(rows * columns, 1);
      const input = trial.matrix(rows, columns, x);
      const output = trial.output(1, columns);
      const scratch = trial.arena.allocate('checked', columnSumScratchBytes(input));
      recordColumnSum(trial.recorder, { input, output, scratch });
      trial.expectMatrix(output, columnSum(x, columns), sumTolerance(rows));
    },
  },
  {
    kernel: 'row_sum',
    record(trial) {
      const x = numbers(SIZE, 1);
      const output = trial.results(ROWS);
      recordRowSum(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, x), output });
      trial.expect(output, rowSum(x, COLUMNS), sumTolerance(COLUMNS));
    },
  },
  {
    kernel: 'row_norm',
    record(trial) {
      const x = numbers(SIZE, 1);
      const output = trial.results(ROWS);
      recordRowNorm(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, x), output });
      trial.expect(output, rowNorm(x, COLUMNS), TOLERANCES.norm);
    },
  },
  {
    kernel: 'max_abs',
    record(trial) {
      const x = numbers(SIZE, 1);
      const output = trial.results(2);
      const scratch = trial.arena.allocate('checked', MAX_ABS_SCRATCH_BYTES);
      recordMaxAbs(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, x), scratch, output });
      trial.expect(output, maxAbs(x), TOLERANCES.exact);
    },
  },
];

function adamCheck(amsgrad: boolean): Check {
  const options = { betas: [0.9, 0.999] as const, epsilon: 1e-8, weightDecay: 0.01 };
  const [learningRate, iteration] = [0.01, 3];
  return {
    kernel: amsgrad ? 'adam amsgrad' : 'adam',
    record(trial) {
      const [w, g, first] = [numbers(SIZE, 1), numbers(SIZE, 2), numbers(SIZE, 3, 0.1)];
      const [second, largest] = [pixels(SIZE, 4), pixels(SIZE, 5)];
      const views = {
        parameters: trial.buffer(w),
        firstMoment: trial.buffer(first),
        secondMoment: trial.buffer(second),
        secondMomentMax: amsgrad ? trial.buffer(largest) : undefined,
      };
      recordAdam(trial.recorder, { count: SIZE, gradients: trial.buffer(g), ...views, ...options });
      const parameters = Float64Array.from(w);
      const secondMax = amsgrad ? Float64Array.from(largest) : undefined;
      const state = { first: Float64Array.from(first), second: Float64Array.from(second), secondMax };
      adam(parameters, g, state, learningRate, iteration, options);
      trial.expect(views.parameters, parameters, TOLERANCES.adam);
      trial.expect(views.firstMoment, state.first, TOLERANCES.firstMoment);
      trial.expect(views.secondMoment, state.second, TOLERANCES.secondMoment);
      if (views.secondMomentMax && secondMax) {
        trial.expect(views.secondMomentMax, secondMax, TOLERANCES.secondMoment);
      }
    },
    prepare(program) {
      writeAdamStep(program, learningRate, options.betas, iteration);
    },
  };
}

const OPTIMIZERS: readonly Check[] = [
  {
    kernel: 'sgd',
    record(trial) {
      const options = { momentum: 0.9, weightDecay: 0.01 };
      const [w, g, v] = [numbers(SIZE, 1), numbers(SIZE, 2), numbers(SIZE, 3)];
      const [parameters, velocity] = [trial.buffer(w), trial.buffer(v)];
      const views = { gradients: trial.buffer(g), parameters, velocity };
      recordSgd(trial.recorder, { count: SIZE, ...views, ...options });
      const expected = { w: Float64Array.from(w), v: Float64Array.from(v) };
      sgd(expected.w, g, expected.v, 0.1, options);
      trial.expect(parameters, expected.w, TOLERANCES.sgd);
      trial.expect(velocity, expected.v, TOLERANCES.sgd);
    },
    prepare(program) {
      writeSgdStep(program, 0.1);
    },
  },
  adamCheck(false),
  adamCheck(true),
];

function initializeCheck(initialization: Initialization): Check {
  return {
    kernel: `initialize ${initialization.kind}`,
    record(trial) {
      const output = trial.output(ROWS, COLUMNS);
      const [seed, tensor] = [2 ** 40 + 3, 6];
      recordInitialize(trial.recorder, { output, initialization, seed, tensor });
      trial.expectMatrix(output, initialize(initialization, seed, tensor, ROWS, COLUMNS), TOLERANCES.normal);
    },
  };
}

/** A data set of 11 images in some order, of which a batch starts at the third. */
const IMAGES = 11;
const BATCH_OFFSET = 2;
const ORDER = Uint32Array.from({ length: IMAGES }, (_, i) => (i * 7 + 5) % IMAGES);
const CHOSEN = ORDER.subarray(BATCH_OFFSET, BATCH_OFFSET + ROWS);
const DRAW = 12;

const BATCHES: readonly Check[] = [
  {
    kernel: 'gather_batch',
    record(trial) {
      const bytes = Uint8Array.from(pixels(IMAGES * COLUMNS, 1), (value) => Math.floor(value * 255.9));
      const labels = Uint32Array.from({ length: IMAGES }, (_, i) => (i * 31) % 17);
      const images = trial.output(ROWS, COLUMNS);
      const targets = trial.results(ROWS);
      recordGatherBatch(trial.recorder, {
        pixels: trial.buffer(packImages(bytes, COLUMNS)),
        labels: trial.buffer(labels),
        order: trial.buffer(ORDER),
        images,
        targets,
      });
      const expected = Array.from(CHOSEN, (i) => [...bytes.subarray(i * COLUMNS, (i + 1) * COLUMNS)]).flat();
      trial.expectMatrix(
        images,
        expected.map((byte) => byte / 255),
        TOLERANCES.pixel,
      );
      trial.expectWords(
        targets,
        Uint32Array.from(CHOSEN, (i) => labels[i]),
      );
    },
    prepare({ stepWords }) {
      stepWords[2] = BATCH_OFFSET;
    },
  },
  {
    kernel: 'corrupt',
    record(trial) {
      const x = pixels(SIZE, 1);
      const deviation = Math.fround(0.3);
      const output = trial.output(ROWS, COLUMNS);
      const input = trial.matrix(ROWS, COLUMNS, x);
      recordCorrupt(trial.recorder, { input, order: trial.buffer(ORDER), output, deviation, seed: 9 });
      trial.expectMatrix(output, corrupt(x, CHOSEN, deviation, 9, DRAW), TOLERANCES.normal);
    },
    prepare({ stepWords }) {
      stepWords[2] = BATCH_OFFSET;
      stepWords[5] = DRAW;
    },
  },
];

const IMAGE = { height: 9, width: 7 };
const IMAGE_SIZE = IMAGE.height * IMAGE.width;

const IMAGE_FILTERS: readonly Check[] = [
  {
    kernel: 'non_local_means',
    record(trial) {
      const options = { patchRadius: 1, searchRadius: 3, strength: 0.3 };
      const x = pixels(2 * IMAGE_SIZE, 1);
      const output = trial.output(2, IMAGE_SIZE);
      recordNonLocalMeans(trial.recorder, { ...IMAGE, ...options, input: trial.matrix(2, IMAGE_SIZE, x), output });
      trial.expectMatrix(output, nonLocalMeans(x, IMAGE.height, IMAGE.width, options), TOLERANCES.nonLocalMeans);
    },
  },
  {
    kernel: 'sharpen',
    record(trial) {
      const x = pixels(2 * IMAGE_SIZE, 1);
      const output = trial.output(2, IMAGE_SIZE);
      recordSharpen(trial.recorder, { ...IMAGE, amount: 0.75, input: trial.matrix(2, IMAGE_SIZE, x), output });
      trial.expectMatrix(output, sharpen(x, IMAGE.height, IMAGE.width, 0.75), TOLERANCES.image);
    },
  },
  {
    kernel: 'total_variation',
    record(trial) {
      const [x, before] = [pixels(2 * IMAGE_SIZE, 1), numbers(2 * IMAGE_SIZE, 2)];
      const [weight, epsilon] = [3, 0.01];
      const gradient = trial.matrix(2, IMAGE_SIZE, before);
      const input = trial.matrix(2, IMAGE_SIZE, x);
      recordTotalVariation(trial.recorder, { ...IMAGE, input, gradient, weight, epsilon });
      const added = totalVariationGradient(x, IMAGE.height, IMAGE.width, weight, epsilon);
      trial.expectMatrix(
        gradient,
        added.map((value, i) => value + before[i]),
        TOLERANCES.image,
      );
    },
  },
  {
    kernel: 'total_variation_value',
    record(trial) {
      const { height, width } = IMAGE;
      const [x, before] = [pixels(2 * IMAGE_SIZE, 1), numbers(2 * 2, 2)];
      const [weight, epsilon] = [3, 0.01];
      const results = trial.buffer(before);
      const input = trial.matrix(2, IMAGE_SIZE, x);
      recordTotalVariationValue(trial.recorder, { ...IMAGE, input, results, weight, epsilon });
      // The kernel counts from a flat image, whose differences all are sqrt(epsilon).
      const differences = height * (width - 1) + (height - 1) * width;
      const flat = (differences * Math.sqrt(epsilon)) / IMAGE_SIZE;
      const expected = Float64Array.from(before);
      totalVariation(x, height, width, epsilon).forEach((energy, image) => {
        expected[2 * image] += weight * (energy - flat);
      });
      trial.expect(results, expected, sumTolerance(differences));
    },
  },
];

/** A row that improved, one that did not, one that had stopped, one out of patience, one that arrived. */
function inversionState(): { state: Uint32Array<ArrayBuffer>; results: Float32Array<ArrayBuffer> } {
  const state = new Uint32Array(ROWS * STATE_WORDS);
  const floats = new Float32Array(state.buffer);
  const best = [0.5, 0.5, 0.5, 0.5, 0.5];
  const waited = [1, 1, 1, 3, 0];
  const active = [1, 1, 0, 1, 1];
  for (let row = 0; row < ROWS; row++) {
    floats.set([best[row], 0.25], row * STATE_WORDS);
    state.set([0, waited[row], active[row], 1, 4, 5], row * STATE_WORDS + 2);
  }
  return { state, results: Float32Array.of(0.4, 0.6, 0.7, 0.3, 0.1, 0.9, 0.6, 0.4, 0.01, 0.99) };
}

const SEARCH = { directions: 3, sigma: 0.125, cell: 2, width: 7 };
const ITERATION = 8;
const SEARCH_STEP = { ...SEARCH, iteration: ITERATION, draw: DRAW };
const prepareSearch = ({ stepWords }: Program) => {
  stepWords[3] = ITERATION;
  stepWords[5] = DRAW;
};

const INVERSION: readonly Check[] = [
  {
    kernel: 'inversion_judge',
    record(trial) {
      const { state, results } = inversionState();
      const view = trial.buffer(state);
      const stop = { beta: 4, gamma: 0.0625, keep: 'best' } as const;
      recordInversionJudge(trial.recorder, { rows: ROWS, results: trial.buffer(results), state: view, ...stop });
      const expected = state.slice();
      inversionJudge(results, expected, ITERATION, stop.beta, stop.gamma, stop.keep);
      trial.expectWords(view, expected);
    },
    prepare: prepareSearch,
  },
  {
    kernel: 'inversion_step',
    record(trial) {
      const { state, results } = inversionState();
      inversionJudge(results, state, ITERATION, 4, 0.0625, 'best');
      const [x, velocity, kept, gradient] = [pixels(SIZE, 1), numbers(SIZE, 2), pixels(SIZE, 3), numbers(SIZE, 4)];
      const norms = pixels(ROWS, 5).map((value) => value + 1);
      const moved = {
        x: trial.matrix(ROWS, COLUMNS, x),
        velocity: trial.matrix(ROWS, COLUMNS, velocity),
        kept: trial.matrix(ROWS, COLUMNS, kept),
      };
      const options = { momentum: 0.5, normalise: true };
      recordInversionStep(trial.recorder, {
        ...moved,
        ...options,
        gradient: trial.matrix(ROWS, COLUMNS, gradient),
        norms: trial.buffer(norms),
        state: trial.buffer(state),
      });
      const expected = {
        x: Float64Array.from(x),
        velocity: Float64Array.from(velocity),
        kept: Float64Array.from(kept),
      };
      inversionStep(expected, gradient, norms, state, { ...options, rate: 0.25 });
      for (const name of ['x', 'velocity', 'kept'] as const) {
        trial.expectMatrix(moved[name], expected[name], TOLERANCES.sgd);
      }
    },
    prepare({ stepFloats }) {
      stepFloats[4] = 0.25;
    },
  },
  {
    kernel: 'search_directions',
    record(trial) {
      const x = pixels(SIZE, 1);
      const queries = trial.output(2 * SEARCH.directions * ROWS, COLUMNS);
      recordSearchDirections(trial.recorder, { ...SEARCH, x: trial.matrix(ROWS, COLUMNS, x), queries });
      trial.expectMatrix(queries, searchDirections(x, COLUMNS, SEARCH_STEP), TOLERANCES.image);
    },
    prepare: prepareSearch,
  },
  {
    kernel: 'search_gradient',
    record(trial) {
      const results = pixels(4 * SEARCH.directions * ROWS, 1);
      const gradient = trial.output(ROWS, COLUMNS);
      recordSearchGradient(trial.recorder, { ...SEARCH, results: trial.buffer(results), gradient });
      trial.expectMatrix(gradient, searchGradient(results, ROWS, COLUMNS, SEARCH_STEP), TOLERANCES.image);
    },
    prepare: prepareSearch,
  },
];

/** The accumulators of shaders/probe/fma_ceiling.wgsl after 4 x `iterations` steps, summed, lane by lane. */
function fmaSums(invocation: number, iterations: number): number[] {
  const [m, a] = [Math.fround(0.999), invocation * 2 ** -16];
  return [0, 0.25, 0.5, 0.75].map((x) => {
    let sum = 0;
    for (let i = 0; i < 16; i++) {
      let c = x + i * 0.01;
      for (let step = 0; step < 4 * iterations; step++) c = c * m + a;
      sum += c;
    }
    return sum;
  });
}

function hashSums(invocation: number, iterations: number): Uint32Array {
  const all = new Uint32Array(4);
  for (let d = 0; d < 4 * iterations; d++) {
    pcg4d(invocation, d, 0, 0).forEach((word, i) => {
      all[i] ^= word;
    });
  }
  return all;
}

const PROBES: readonly Check[] = [
  {
    kernel: 'fma_ceiling',
    record(trial) {
      const output = trial.results(64 * 4);
      recordFmaCeiling(trial.recorder, { invocations: 64, iterations: 3, output });
      const expected = Array.from({ length: 64 }, (_, i) => fmaSums(i, 3)).flat();
      trial.expect(output, expected, sumTolerance(16 * 12));
    },
  },
  {
    kernel: 'hash_ceiling',
    record(trial) {
      const output = trial.results(64 * 4);
      recordHashCeiling(trial.recorder, { invocations: 64, iterations: 3, output });
      trial.expectWords(output, Uint32Array.from(Array.from({ length: 64 }, (_, i) => [...hashSums(i, 3)]).flat()));
    },
  },
  {
    kernel: 'copy',
    record(trial) {
      // NaNs of every kind, infinities and denormals: a copy moves bits.
      const words = Uint32Array.from({ length: 260 }, (_, i) => Math.imul(i, 0x01fe_fdfb) >>> 0);
      const output = trial.results(words.length);
      recordCopy(trial.recorder, { bytes: words.byteLength, input: trial.buffer(words), output });
      trial.expectWords(output, words);
    },
  },
];

const ACTIVATIONS: readonly Activation[] = ['relu', 'tanh', 'sigmoid'];

const CHECKS: readonly Check[] = [
  ...TRANSPOSITIONS.flatMap((transposition) =>
    VARIANTS.map((variant) =>
      gemmCheck(`gemm ${transposition} ${variant}`, transposition, [21, 35, 37], {
        variant,
        bias: transposition === 'nt',
        // A cheap one: a tile has the epilogue in as many places as it has rows of vec4, and each of them compiles.
        activation: transposition === 'nt' ? 'relu' : 'none',
      }),
    ),
  ),
  gemmCheck('reduce_split_k', 'nt', [5, 9, 300], {
    variant: 'register-8x8',
    splitK: 3,
    bias: true,
    activation: 'sigmoid',
  }),
  approximateGemmCheck('nt', false),
  approximateGemmCheck('nn', false),
  approximateGemmCheck('nt', true),
  approximateGemmCheck('nn', true),
  encodeCheck('corrected'),
  encodeCheck('faithful'),
  materialiseCheck,
  noiseCheck('gaussian'),
  noiseCheck('laplacian'),
  ...ACTIVATIONS.flatMap(activationChecks),
  ...softmaxChecks(),
  ...LOSSES,
  ...REDUCTIONS,
  ...OPTIMIZERS,
  initializeCheck({ kind: 'constant', value: 0.5 }),
  initializeCheck({ kind: 'xavierNormal', fanIn: 3, fanOut: 5 }),
  initializeCheck({ kind: 'uniform', fanIn: 4 }),
  ...BATCHES,
  ...IMAGE_FILTERS,
  ...INVERSION,
  ...PROBES,
];

/** A renderer has no twin: it must draw something, and the same again however its work is cut. */
const RENDERER = { kernel: 'render_face', shaders: ['image/render_face.wgsl'] };

/** Kernels that {@link selfCheck} looks at. */
export const CHECKED_KERNELS: readonly string[] = [...CHECKS, RENDERER].map(({ kernel }) => kernel);

export interface SelfCheckOptions {
  /** Names of {@link CHECKED_KERNELS}; all by default. */
  readonly kernels?: readonly string[];
  /** Called as each kernel is ready to run, which is what takes the time; in no particular order. */
  readonly onCompiled?: (kernel: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Runs kernels and compares them with their twins. All of them compile at the same time, so the first may take a while.
 *
 * @returns one entry a kernel, in the order of {@link CHECKED_KERNELS}; a kernel that does not compile is one that fails
 * @throws DeviceLostError, InterruptedError
 */
export async function selfCheck(gpu: Gpu, options: SelfCheckOptions = {}): Promise<KernelCheck[]> {
  const { kernels = CHECKED_KERNELS, onCompiled, signal } = options;
  const trials = CHECKS.filter(({ kernel }) => kernels.includes(kernel)).map((check) => start(gpu, check));
  const rendered = kernels.includes(RENDERER.kernel) ? [checkRenderer(gpu)] : [];
  for (const { check, program } of trials) void program.then(() => onCompiled?.(check.kernel));
  // A lost device is reported where the result is awaited, not here.
  for (const check of rendered) check.then(({ kernel }) => onCompiled?.(kernel)).catch(() => {});
  const results: KernelCheck[] = [];
  try {
    for (const finish of [...trials.map((trial) => () => run(gpu, trial)), ...rendered.map((check) => () => check)]) {
      if (signal?.aborted) throw new InterruptedError('interrupted');
      results.push(await finish());
    }
  } finally {
    await Promise.allSettled([...rendered, ...trials.map(({ program }) => program)]);
    for (const { trial } of trials) trial.destroy();
  }
  return results;
}

interface Started {
  readonly check: Check;
  readonly trial: Trial;
  /** Never rejects: what went wrong is the value. */
  readonly program: Promise<Program | Error>;
}

function start(gpu: Gpu, check: Check): Started {
  const trial = new Trial(gpu);
  const build = async () => {
    check.record(trial);
    return trial.recorder.build(check.kernel);
  };
  return { check, trial, program: build().catch((error: Error) => error) };
}

async function run(gpu: Gpu, { check, trial, program: building }: Started): Promise<KernelCheck> {
  const program = await building;
  gpu.check();
  const shaders = [...trial.recorder.shaders];
  const { kernel } = check;
  if (program instanceof Error) {
    return { kernel, maxError: Number.NaN, tolerance: 0, ok: false, shaders, failure: program.message };
  }
  check.prepare?.(program);
  program.run();
  const bytes = await gpu.read(...trial.outputs.map(({ view }) => view));
  const worst = new Worst();
  for (const [i, { expected, tolerance, words }] of trial.outputs.entries()) {
    const actual = words ? new Uint32Array(bytes[i]) : new Float32Array(bytes[i]);
    for (let j = 0; j < expected.length; j++) {
      const { absolute, relative } = tolerance(j);
      worst.see(Math.abs(actual[j] - expected[j]), absolute + relative * Math.abs(expected[j]));
    }
  }
  return { kernel, ...worst.result(), shaders };
}

/** Finds the largest error, or the worst among those beyond their tolerance if there are any. */
class Worst {
  #error = 0;
  #tolerance = 0;
  #excess = 1;

  see(error: number, tolerance: number): void {
    if (!(error <= tolerance)) {
      const excess = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / tolerance;
      if (excess < this.#excess || (excess === this.#excess && !(error > this.#error))) return;
      this.#excess = excess;
    } else if (this.#excess > 1 || error < this.#error || (error === this.#error && tolerance < this.#tolerance)) {
      return;
    }
    this.#error = error;
    this.#tolerance = tolerance;
  }

  result(): { maxError: number; tolerance: number; ok: boolean } {
    return { maxError: this.#error, tolerance: this.#tolerance, ok: this.#excess <= 1 };
  }
}

async function checkRenderer(gpu: Gpu): Promise<KernelCheck> {
  const size = { population: 'private', identities: 2, photographs: 2, width: 13, height: 17, seed: 1 } as const;
  try {
    const whole = await renderFaces(gpu, size);
    const again = await renderFaces(gpu, { ...size, pixelsPerSubmit: 500 });
    let error = 0;
    for (const [i, pixel] of whole.images.entries()) error = Math.max(error, Math.abs(pixel - again.images[i]));
    const blank = new Set(whole.images).size < 16;
    const failure = blank ? 'the faces are blank' : undefined;
    return { ...RENDERER, maxError: error, tolerance: 0, ok: error === 0 && !blank, failure };
  } catch (error) {
    gpu.check();
    return { ...RENDERER, maxError: Number.NaN, tolerance: 0, ok: false, failure: (error as Error).message };
  }
}
