/**
 * jax-js on its WebGPU backend. Images are NCHW, everything runs under `jit`, gradients come from `vjp` and `valueAndGrad`,
 * and a whole training step is one compiled function. Every use of an array consumes a reference; `.ref` adds one.
 */
import type { Activation } from '../../src/kernels/activation.ts';
import type { OptimizerConfig } from '../../src/models/training_config.ts';
import {
  batchOf,
  type Case,
  type ConvCase,
  convInputs,
  type GemmCase,
  gemmInputs,
  initialParameters,
  type NetworkCase,
  type Tensor,
} from './cases.ts';
import { COMPARED_STEPS, type Engine, type Runnable } from './engine.ts';
import { squareLayer, transpose } from './layouts.ts';

// The parts of the library's types that are used here; the project is type-checked without the library.
interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: number[];
  add(other: Operand): JaxArray;
  sub(other: Operand): JaxArray;
  mul(other: Operand): JaxArray;
  div(other: Operand): JaxArray;
  reshape(shape: number[]): JaxArray;
  slice(...index: (number | [number, number])[]): JaxArray;
  data(): Promise<Float32Array<ArrayBuffer>>;
  gpuBuffer(): Promise<unknown>;
  dispose(): void;
}
type Operand = JaxArray | number;
type Arrays = Record<string, JaxArray>;
type Tree = JaxArray | number | Tree[] | { [key: string]: Tree };
type Pair = [number, number];
interface ReduceOptions {
  keepdims?: boolean;
}
interface Jax {
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): string;
  jit<Args extends Tree[], Result extends Tree>(f: (...args: Args) => Result): (...args: Args) => Result;
  vjp(f: (x: JaxArray) => JaxArray, at: [JaxArray]): [JaxArray, ((gradient: JaxArray) => [JaxArray]) & Disposable];
  valueAndGrad<Aux>(
    f: (x: Arrays, ...rest: Arrays[]) => [JaxArray, Aux],
    options: { hasAux: true },
  ): (x: Arrays, ...rest: Arrays[]) => [[JaxArray, Aux], Arrays];
  readonly tree: { ref<T>(tree: T): T; dispose(tree: unknown): void };
  readonly lax: {
    convWithGeneralPadding(x: JaxArray, weight: JaxArray, strides: Pair, padding: Pair[]): JaxArray;
  };
  readonly nn: Record<'relu' | 'sigmoid', (x: JaxArray) => JaxArray> & {
    logSoftmax(x: JaxArray, axis: number): JaxArray;
  };
  readonly numpy: Record<'sqrt' | 'square' | 'tanh' | 'transpose', (x: JaxArray) => JaxArray> & {
    array(values: Float32Array): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    maximum(a: JaxArray, b: JaxArray): JaxArray;
    max(x: JaxArray, axis: number[]): JaxArray;
    mean(x: JaxArray, axis?: number[], options?: ReduceOptions): JaxArray;
    sum(x: JaxArray, axis?: number[], options?: ReduceOptions): JaxArray;
    flip(x: JaxArray, axes: number[]): JaxArray;
    moveaxis(x: JaxArray, from: number, to: number): JaxArray;
    pad(x: JaxArray, widths: Pair[]): JaxArray;
    zeros(shape: readonly number[]): JaxArray;
  };
}
interface Disposable {
  dispose(): void;
}

/** The constants of src/kernels/norm.ts. */
const EPSILON = 1e-5;
const MOMENTUM = 0.1;

/** @param version the installed version, which the library itself does not provide */
export async function openJax(adapter: string, version: string): Promise<Engine> {
  const name: string = '@jax-js/jax';
  const jax = (await import(name)) as Jax;
  if (!(await jax.init('webgpu')).includes('webgpu')) throw new Error('jax-js: the device webgpu did not start');
  jax.defaultDevice('webgpu');
  return {
    version,
    adapter,
    build: async (compared: Case) => {
      if (compared.kind === 'gemm') return buildGemm(jax, compared);
      if (compared.kind === 'conv') return buildConv(jax, compared);
      if (compared.kind === 'exported') throw new Error('no reader of ONNX files');
      if (compared.kind === 'defended') throw new Error('only PyTorch is compared with errors');
      return compared.kind === 'training' ? buildTraining(jax, compared) : buildInference(jax, compared);
    },
  };
}

function upload({ numpy }: Jax, { values, shape }: Tensor): JaxArray {
  return numpy.array(values).reshape([...shape]);
}

/**
 * A case that is one operation on arrays.
 * @param operation calls a compiled function; each call consumes one reference to each of its inputs
 */
function runnable(jax: Jax, inputs: Tree, operation: () => JaxArray): Runnable {
  let last: JaxArray | undefined;
  return {
    results: () => operation().data(),
    async run() {
      last?.dispose();
      last = operation();
      // Evaluation is lazy: without this nothing is submitted, and an array that is disposed of is never computed.
      await last.ref.gpuBuffer();
    },
    async idle() {
      if (!last) return;
      const corner = last.shape.map((_, axis): number | Pair => (axis === 0 ? [0, 1] : 0));
      await last.ref.slice(...corner).data();
    },
    free() {
      last?.dispose();
      jax.tree.dispose(inputs);
    },
  };
}

function buildGemm(jax: Jax, compared: GemmCase): Runnable {
  const inputs = gemmInputs(compared);
  const { transposition } = compared;
  const [a, b] = [upload(jax, inputs.a), upload(jax, inputs.b)];
  const { matmul, transpose: t } = jax.numpy;
  const product = jax.jit((left: JaxArray, right: JaxArray) =>
    matmul(transposition === 'tn' ? t(left) : left, transposition === 'nt' ? t(right) : right),
  );
  return runnable(jax, [a, b], () => product(a.ref, b.ref));
}

function convolve(jax: Jax, { transposed, shape }: ConvCase, x: JaxArray, weight: JaxArray): JaxArray {
  const { stride, padding } = shape;
  return transposed ? convTranspose(jax, x, weight, stride, padding) : conv(jax, x, weight, stride, padding);
}

function conv({ lax }: Jax, x: JaxArray, weight: JaxArray, stride: number, padding: number): JaxArray {
  const around: Pair = [padding, padding];
  return lax.convWithGeneralPadding(x, weight, [stride, stride], [around, around]);
}

/**
 * A transposed convolution that puts zeros between the pixels explicitly: with `lax.convTranspose` or `lhsDilation` the
 * weight gradient is wrong on the library's WebGPU device (its WGSL takes remainders of negative indices), but right on
 * wasm.
 */
function convTranspose(jax: Jax, x: JaxArray, weight: JaxArray, stride: number, padding: number): JaxArray {
  const { numpy, lax } = jax;
  const [batch, channels, height, width] = x.shape;
  const kernelSize = weight.shape[2];
  const none: Pair = [0, 0];
  const between: Pair = [0, stride - 1];
  const apart = numpy
    .pad(x.reshape([batch, channels, height, 1, width, 1]), [none, none, none, between, none, between])
    .reshape([batch, channels, height * stride, width * stride]);
  const first = kernelSize - 1 - padding;
  // `numpy.pad` has already put zeros after the last pixel, so the border there is narrower.
  const around: Pair = [first, first - (stride - 1)];
  const flipped = numpy.moveaxis(numpy.flip(weight, [2, 3]), 0, 1);
  return lax.convWithGeneralPadding(apart, flipped, [1, 1], [around, around]);
}

function buildConv(jax: Jax, compared: ConvCase): Runnable {
  const { large, small, weight: weights } = convInputs(compared);
  const [from, to] = compared.transposed ? [small, large] : [large, small];
  const { direction } = compared;
  const [x, weight, dy] = [upload(jax, from), upload(jax, weights), upload(jax, to)];
  const inputs = [x, weight, dy];
  if (direction === 'forward') {
    const run = jax.jit((a: JaxArray, w: JaxArray) => convolve(jax, compared, a, w));
    return runnable(jax, inputs, () => run(x.ref, weight.ref));
  }
  // jit drops the forward pass, whose value is not used.
  if (direction === 'input gradient') {
    const run = jax.jit((a: JaxArray, w: JaxArray, gradient: JaxArray) =>
      pullBack(jax, (wanted) => convolve(jax, compared, wanted, w), a, gradient),
    );
    return runnable(jax, inputs, () => run(x.ref, weight.ref, dy.ref));
  }
  // The weight gradient of a transposed convolution is computed as that of the convolution it transposes, because the direct
  // way gives wrong values (see convTranspose).
  const { stride, padding } = compared.shape;
  const run = jax.jit((a: JaxArray, w: JaxArray, gradient: JaxArray) =>
    pullBack(jax, (wanted) => conv(jax, a, wanted, stride, padding), w, gradient),
  );
  const [read, gradient] = compared.transposed ? [dy, x] : [x, dy];
  return runnable(jax, inputs, () => run(read.ref, weight.ref, gradient.ref));
}

/** The gradient of f at x, given the gradient at its result. Consumes both arrays, and the other arrays that f uses. */
function pullBack(jax: Jax, f: (x: JaxArray) => JaxArray, x: JaxArray, gradient: JaxArray): JaxArray {
  const [value, backwards] = jax.vjp(f, [x]);
  const [result] = backwards(gradient);
  value.dispose();
  backwards.dispose();
  return result;
}

/** Uploads the parameters of a network, dense weights as inputs x outputs. */
function uploadParameters(jax: Jax, { spec }: NetworkCase): { trained: Arrays; statistics: Arrays } {
  const trained: Arrays = {};
  const statistics: Arrays = {};
  for (const [name, tensor] of initialParameters(spec)) {
    const moved = tensor.shape.length === 2 ? transpose(tensor, [1, 0]) : tensor;
    (name.includes('.running_') ? statistics : trained)[name] = upload(jax, moved);
  }
  return { trained, statistics };
}

/**
 * A forward pass; consumes all its arrays.
 * @returns the output and, if `training` is true, the updated running statistics
 */
function forward(
  jax: Jax,
  { spec, batch }: NetworkCase,
  parameters: Arrays,
  statistics: Arrays,
  input: JaxArray,
  training: boolean,
): [output: JaxArray, statistics: Arrays] {
  const { numpy } = jax;
  const moved: Arrays = {};
  let x = input;
  for (const layer of spec.layers) {
    const own = (part: string) => parameters[`${layer.name}.${part}`];
    const channelwise = (vector: JaxArray) => vector.reshape([vector.shape[0], 1, 1]);
    const image = ({ height, width, channels }: { height: number; width: number; channels: number }) =>
      x.reshape([batch, channels, height, width]);
    switch (layer.kind) {
      case 'reshape':
      case 'dropout':
        // Every layer reshapes its own input, and the compared networks have no dropout.
        break;
      case 'dense':
        x = numpy.matmul(x.reshape([batch, layer.inputs]), own('weight')).add(own('bias'));
        break;
      case 'conv2d': {
        const { stride, padding } = squareLayer(layer);
        x = conv(jax, image(layer.input), own('weight'), stride, padding).add(channelwise(own('bias')));
        break;
      }
      case 'conv_transpose2d': {
        const { stride, padding } = squareLayer(layer);
        x = convTranspose(jax, image(layer.input), own('weight'), stride, padding).add(channelwise(own('bias')));
        break;
      }
      case 'batch_norm': {
        const names = [`${layer.name}.running_mean`, `${layer.name}.running_var`];
        const [runningMean, runningVariance] = names.map((name) => statistics[name]);
        let [mean, variance] = [runningMean, runningVariance];
        if (training) {
          mean = numpy.mean(x.ref, [0, 2, 3]);
          const centred = x.ref.sub(channelwise(mean.ref));
          variance = numpy.mean(numpy.square(centred), [0, 2, 3]);
          const count = batch * layer.input.height * layer.input.width;
          moved[names[0]] = runningMean.mul(1 - MOMENTUM).add(mean.ref.mul(MOMENTUM));
          moved[names[1]] = runningVariance.mul(1 - MOMENTUM).add(variance.ref.mul((MOMENTUM * count) / (count - 1)));
        }
        const scale = own('weight').div(numpy.sqrt(variance.add(EPSILON)));
        x = x
          .sub(channelwise(mean))
          .mul(channelwise(scale))
          .add(channelwise(own('bias')));
        break;
      }
      case 'max_pool': {
        // This is faster than `reduceWindow` for windows that do not overlap.
        const { kernelSize: size, input } = layer;
        if (typeof size !== 'number') throw new Error('no compared network has windows that are not square');
        const windows = [batch, input.channels, input.height / size, size, input.width / size, size];
        x = numpy.max(x.reshape(windows), [3, 5]);
        break;
      }
    }
    if ('activation' in layer) x = activate(jax, layer.activation, x);
  }
  return [x.reshape([batch, spec.outputs]), moved];
}

function activate({ nn, numpy }: Jax, activation: Activation, x: JaxArray): JaxArray {
  if (activation === 'none') return x;
  if (activation === 'relu6') throw new Error('no compared network has relu6');
  return activation === 'tanh' ? numpy.tanh(x) : nn[activation](x);
}

function buildInference(jax: Jax, compared: NetworkCase): Runnable {
  const { trained, statistics } = uploadParameters(jax, compared);
  const images = upload(jax, batchOf(compared).images);
  const run = jax.jit(
    (parameters: Arrays, running: Arrays, x: JaxArray) => forward(jax, compared, parameters, running, x, false)[0],
  );
  const { ref } = jax.tree;
  return runnable(jax, [trained, statistics, images], () => run(ref(trained), ref(statistics), images.ref));
}

/** The state that one training step passes to the next: parameters, statistics, and the optimiser's moments by name. */
interface TrainingState extends Record<string, Arrays> {
  parameters: Arrays;
  statistics: Arrays;
}

function buildTraining(jax: Jax, compared: NetworkCase): Runnable {
  const { spec, batch, optimizer } = compared;
  const { images, labels, vectors } = batchOf(compared);
  const oneHot = new Float32Array(batch * spec.outputs);
  for (const [row, label] of labels.entries()) oneHot[row * spec.outputs + label] = 1;
  const x = upload(jax, vectors ?? images);
  const target = vectors ? upload(jax, images) : upload(jax, { values: oneHot, shape: [batch, spec.outputs] });
  const { numpy, nn } = jax;
  const loss = (parameters: Arrays, statistics: Arrays, data: Arrays): [JaxArray, Arrays] => {
    const [output, moved] = forward(jax, compared, parameters, statistics, data.x, true);
    const value = vectors
      ? numpy.mean(numpy.square(output.sub(data.target)))
      : numpy.sum(nn.logSoftmax(output, -1).mul(data.target)).mul(-1 / batch);
    return [value, moved];
  };
  const { moments, update, scalars } = optimizerOf(jax, optimizer);
  const step = jax.jit((state: TrainingState, data: Arrays, ...numbers: JaxArray[]): [JaxArray, TrainingState] => {
    const { parameters, statistics, ...optimizerState } = state;
    const [[value, moved], gradients] = jax.valueAndGrad(loss, { hasAux: true })(
      jax.tree.ref(parameters),
      statistics,
      data,
    );
    const next: TrainingState = { parameters: {}, statistics: moved };
    for (const moment of moments) next[moment] = {};
    for (const [name, gradient] of Object.entries(gradients)) {
      const state = Object.fromEntries(moments.map((moment) => [moment, optimizerState[moment][name]]));
      const { parameter, ...rest } = update(parameters[name], gradient, state, numbers);
      next.parameters[name] = parameter;
      for (const moment of moments) next[moment][name] = rest[moment];
    }
    jax.tree.dispose(numbers);
    return [value, next];
  });
  const { trained, statistics } = uploadParameters(jax, compared);
  let state: TrainingState = { parameters: trained, statistics };
  for (const moment of moments) {
    state[moment] = Object.fromEntries(Object.entries(trained).map(([name, { shape }]) => [name, numpy.zeros(shape)]));
  }
  let iteration = 0;
  const run = async () => {
    iteration++;
    const numbers = scalars(iteration).map((value) => numpy.array(Float32Array.of(value)).reshape([]));
    const [value, next] = step(state, { x: x.ref, target: target.ref }, ...numbers);
    state = next;
    return (await value.data())[0];
  };
  return {
    async results() {
      const losses = new Float32Array(COMPARED_STEPS);
      for (let i = 0; i < COMPARED_STEPS; i++) losses[i] = await run();
      return losses;
    },
    run,
    async idle() {},
    free() {
      jax.tree.dispose([x, target, state]);
    },
  };
}

interface Optimizer {
  /** Names of the values that are stored for every parameter; they are zero at first. */
  readonly moments: readonly string[];
  /** Numbers that differ from step to step. @param iteration from 1 */
  scalars(iteration: number): number[];
  /** One update; consumes all arrays except `numbers`. @returns the new `parameter` and the new moments by name */
  update(parameter: JaxArray, gradient: JaxArray, moments: Arrays, numbers: JaxArray[]): Arrays;
}

/** The formulas of PyTorch, as in shaders/optimizer/. */
function optimizerOf({ numpy }: Jax, optimizer: OptimizerConfig): Optimizer {
  const { learningRate } = optimizer;
  if (optimizer.kind === 'sgd') {
    return {
      moments: ['velocity'],
      scalars: () => [],
      update(parameter, gradient, { velocity }) {
        const decayed = gradient.add(parameter.ref.mul(optimizer.weightDecay));
        const moved = velocity.mul(optimizer.momentum).add(decayed);
        return { velocity: moved.ref, parameter: parameter.sub(moved.mul(learningRate)) };
      },
    };
  }
  const [beta1, beta2] = optimizer.betas;
  return {
    moments: ['first', 'second', 'largest'],
    scalars: (iteration) => [learningRate / (1 - beta1 ** iteration), 1 / Math.sqrt(1 - beta2 ** iteration)],
    update(parameter, gradient, moments, [rate, correction]) {
      const first = moments.first.mul(beta1).add(gradient.ref.mul(1 - beta1));
      const second = moments.second.mul(beta2).add(numpy.square(gradient).mul(1 - beta2));
      const largest = numpy.maximum(moments.largest, second.ref);
      const deviation = numpy.sqrt(largest.ref).mul(correction.ref).add(optimizer.epsilon);
      const moved = first.ref.div(deviation).mul(rate.ref);
      return { first, second, largest, parameter: parameter.sub(moved) };
    },
  };
}
