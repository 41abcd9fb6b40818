/**
 * TensorFlow.js on its WebGPU backend, used as its own layers use it: NHWC images, products fused with the bias, variables,
 * and `tidy` for temporary tensors. Its optimisers lack weight decay and AMSGrad, so both optimisers are written out in
 * tensor operations.
 */
import { createRequire } from 'node:module';
import type { Activation } from '../../src/kernels/activation.ts';
import type { LayerSpec } from '../../src/layers/kinds.ts';
import { importOnnx } from '../../src/models/onnx_file.ts';
import type { OptimizerConfig } from '../../src/models/training_config.ts';
import {
  batchOf,
  type Case,
  type ConvCase,
  convInputs,
  convOperation,
  type ExportedCase,
  exportedFile,
  exportedImages,
  type GemmCase,
  gemmInputs,
  initialParameters,
  type NetworkCase,
  type Tensor as Numbers,
} from './cases.ts';
import { COMPARED_STEPS, type Engine, type Runnable } from './engine.ts';
import { pixelByPixel, squareLayer, toNchw, toNhwc, transpose } from './layouts.ts';

// The parts of the library's types that are used here; the project is type-checked without the library.
interface Tensor {
  readonly shape: number[];
  data(): Promise<Float32Array<ArrayBuffer>>;
  dispose(): void;
}
interface Variable extends Tensor {
  readonly name: string;
  assign(value: Tensor): void;
}
type Operand = Tensor | number;
type Binary = (a: Operand, b: Operand) => Tensor;
type Unary = (x: Tensor) => Tensor;
interface Tf {
  readonly version_core: string;
  readonly Conv2DBackpropFilter: string;
  setBackend(name: string): Promise<boolean>;
  engine(): { runKernel(name: string, inputs: object, attributes: object): Tensor };
  tensor(values: Float32Array, shape: readonly number[]): Tensor;
  variable(initial: Tensor, trainable?: boolean, name?: string): Variable;
  tidy<T>(run: () => T): T;
  dispose(tensors: object): void;
  variableGrads(loss: () => Tensor, variables: Variable[]): { value: Tensor; grads: Record<string, Tensor> };
  slice(x: Tensor, begin: number[], size: number[]): Tensor;
  reshape(x: Tensor, shape: number[]): Tensor;
  zerosLike: Unary;
  add: Binary;
  sub: Binary;
  mul: Binary;
  div: Binary;
  maximum: Binary;
  sqrt: Unary;
  square: Unary;
  relu: Unary;
  relu6: Unary;
  sigmoid: Unary;
  tanh: Unary;
  matMul(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor;
  conv2d(x: Tensor, filter: Tensor, stride: number, padding: number): Tensor;
  depthwiseConv2d(
    x: Tensor,
    filter: Tensor,
    stride: number,
    padding: number,
    format: 'NHWC',
    dilation: number,
    rounding: 'floor',
  ): Tensor;
  mean(x: Tensor, axes: number[]): Tensor;
  conv2dTranspose(x: Tensor, filter: Tensor, output: number[], stride: number, padding: number): Tensor;
  maxPool(x: Tensor, size: number, stride: number, padding: 'valid'): Tensor;
  moments(x: Tensor, axes: number[]): { mean: Tensor; variance: Tensor };
  batchNorm(x: Tensor, mean: Tensor, variance: Tensor, offset: Tensor, scale: Tensor, epsilon: number): Tensor;
  readonly fused: {
    matMul(args: { a: Tensor; b: Tensor; bias: Tensor }): Tensor;
    conv2d(args: {
      x: Tensor;
      filter: Tensor;
      strides: number;
      pad: number;
      bias: Tensor;
      dimRoundingMode?: 'floor';
    }): Tensor;
  };
  readonly losses: {
    softmaxCrossEntropy(oneHot: Tensor, logits: Tensor): Tensor;
    meanSquaredError(labels: Tensor, predictions: Tensor): Tensor;
  };
}

/** The constants of src/kernels/norm.ts. */
const EPSILON = 1e-5;
const MOMENTUM = 0.1;

export async function openTfjs(adapter: string): Promise<Engine> {
  const require = createRequire(import.meta.url);
  const tf = require('@tensorflow/tfjs-core') as Tf;
  // The bundle for Node lacks gradients. The file register_all_gradients.js adds them; it is in another module format, which
  // tsx can load.
  require('@tensorflow/tfjs-core/dist/register_all_gradients.js');
  require('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend('webgpu'))) throw new Error('tfjs: the backend webgpu did not start');
  return {
    version: tf.version_core,
    adapter,
    build: async (compared: Case) => {
      if (compared.kind === 'gemm') return buildGemm(tf, compared);
      if (compared.kind === 'conv') return buildConv(tf, compared);
      if (compared.kind === 'exported') return buildExported(tf, compared);
      if (compared.kind === 'defended') throw new Error('only PyTorch is compared with errors');
      return compared.kind === 'training' ? buildTraining(tf, compared) : buildInference(tf, compared);
    },
  };
}

const upload = (tf: Tf, { values, shape }: Numbers) => tf.tensor(values, shape);

/** A case that is one operation on tensors. @param results converts its result to PyTorch's layout */
function runnable(
  tf: Tf,
  inputs: readonly Tensor[],
  operation: () => Tensor,
  results: (values: Numbers) => Float32Array = ({ values }) => values,
): Runnable {
  let last: Tensor | undefined;
  const run = () => {
    last?.dispose();
    last = tf.tidy(operation);
  };
  return {
    async results() {
      run();
      return results({ shape: last!.shape, values: await last!.data() });
    },
    run,
    async idle() {
      const { shape } = last!;
      const one = tf.slice(
        last!,
        shape.map(() => 0),
        shape.map(() => 1),
      );
      await one.data();
      one.dispose();
    },
    free() {
      last?.dispose();
      tf.dispose(inputs);
    },
  };
}

function buildGemm(tf: Tf, compared: GemmCase): Runnable {
  const inputs = gemmInputs(compared);
  const [a, b] = [upload(tf, inputs.a), upload(tf, inputs.b)];
  const { transposition } = compared;
  return runnable(tf, [a, b], () => tf.matMul(a, b, transposition === 'tn', transposition === 'nt'));
}

function buildConv(tf: Tf, compared: ConvCase): Runnable {
  const { large, small, weight } = convInputs(compared);
  const { stride, padding } = compared.shape;
  const x = upload(tf, toNhwc(large));
  const y = upload(tf, toNhwc(small));
  const filter = upload(tf, transpose(weight, [2, 3, 1, 0]));
  const inputs = [x, y, filter];
  const nchw = (values: Numbers) => toNchw(values).values;
  const operation = convOperation(compared);
  if (operation === 'forward') return runnable(tf, inputs, () => tf.conv2d(x, filter, stride, padding), nchw);
  if (operation === 'input gradient') {
    return runnable(tf, inputs, () => tf.conv2dTranspose(y, filter, x.shape, stride, padding), nchw);
  }
  // This is exactly the operation that the gradient of conv2d runs.
  const attributes = { strides: stride, pad: padding, dataFormat: 'NHWC', filterShape: filter.shape };
  return runnable(
    tf,
    inputs,
    () => tf.engine().runKernel(tf.Conv2DBackpropFilter, { x, dy: y }, attributes),
    (values) => transpose(values, [3, 2, 0, 1]).values,
  );
}

type Parameters = Readonly<Record<string, Variable>>;

/** Uploads the parameters of a network in the library's layouts. */
function uploadParameters(tf: Tf, { spec }: NetworkCase): Parameters {
  const initial = initialParameters(spec);
  const variables: Record<string, Variable> = {};
  for (const [name, tensor] of initial) {
    const layer = spec.layers.find((candidate) => name.startsWith(`${candidate.name}.`))!;
    let moved = tensor;
    if (name.endsWith('.weight')) {
      if (layer.kind === 'dense') {
        moved = transpose(layer.flattened ? pixelByPixel(tensor, layer.flattened) : tensor, [1, 0]);
      } else if (layer.kind === 'conv2d' || layer.kind === 'conv_transpose2d') {
        // For a transposed convolution too: PyTorch's first axis (its input channels) is the last axis in tfjs.
        moved = transpose(tensor, [2, 3, 1, 0]);
      }
    }
    variables[name] = tf.variable(upload(tf, moved), !name.includes('.running_'));
  }
  return variables;
}

function forward(
  tf: Tf,
  { spec, batch }: NetworkCase,
  parameters: Parameters,
  input: Tensor,
  training: boolean,
): Tensor {
  let x = input;
  for (const layer of spec.layers) {
    const own = (part: string) => parameters[`${layer.name}.${part}`];
    const image = ({ height, width, channels }: { height: number; width: number; channels: number }) =>
      tf.reshape(x, [batch, height, width, channels]);
    switch (layer.kind) {
      case 'reshape':
      case 'dropout':
        // Every layer reshapes its own input, and the compared networks have no dropout.
        break;
      case 'dense':
        x = tf.fused.matMul({ a: tf.reshape(x, [batch, layer.inputs]), b: own('weight'), bias: own('bias') });
        break;
      case 'conv2d': {
        const { stride: strides, padding: pad } = squareLayer(layer);
        x = tf.fused.conv2d({ x: image(layer.input), filter: own('weight'), strides, pad, bias: own('bias') });
        break;
      }
      case 'conv_transpose2d': {
        const { kernelSize, stride, padding } = squareLayer(layer);
        const size = (n: number) => (n - 1) * stride - 2 * padding + kernelSize;
        const output = [batch, size(layer.input.height), size(layer.input.width), layer.channels];
        x = tf.add(tf.conv2dTranspose(image(layer.input), own('weight'), output, stride, padding), own('bias'));
        break;
      }
      case 'batch_norm': {
        const [runningMean, runningVariance] = [own('running_mean'), own('running_var')];
        const { mean, variance } = training
          ? tf.moments(x, [0, 1, 2])
          : { mean: runningMean, variance: runningVariance };
        if (training) {
          const count = (batch * layer.input.height * layer.input.width) as number;
          const move = (running: Variable, value: Tensor) =>
            running.assign(tf.add(tf.mul(running, 1 - MOMENTUM), tf.mul(value, MOMENTUM)));
          move(runningMean, mean);
          move(runningVariance, tf.mul(variance, count / (count - 1)));
        }
        x = tf.batchNorm(x, mean, variance, own('bias'), own('weight'), EPSILON);
        break;
      }
      case 'max_pool':
        if (typeof layer.kernelSize !== 'number')
          throw new Error('no compared network has windows that are not square');
        x = tf.maxPool(x, layer.kernelSize, layer.kernelSize, 'valid');
        break;
    }
    if ('activation' in layer) x = activate(tf, layer.activation, x);
  }
  return tf.reshape(x, [batch, spec.outputs]);
}

function activate(tf: Tf, activation: Activation, x: Tensor): Tensor {
  return activation === 'none' ? x : tf[activation](x);
}

function buildInference(tf: Tf, compared: NetworkCase): Runnable {
  const parameters = uploadParameters(tf, compared);
  const images = upload(tf, batchOf(compared).images);
  const tensors = [images, ...Object.values(parameters)];
  return runnable(tf, tensors, () => forward(tf, compared, parameters, images, false));
}

/** A network as this project reads it from its file, with batch normalisation folded by PyTorch's exporter, in tfjs's layouts. */
function buildExported(tf: Tf, compared: ExportedCase): Runnable {
  const { spec, tensors } = importOnnx(exportedFile(compared), compared.file);
  const weights = new Map<string, Tensor>();
  for (const { kind, name, ...layer } of spec.layers) {
    for (const part of ['weight', 'bias']) {
      const stored = tensors.get(`${name}.${part}`);
      if (!stored) continue;
      const tensor = { shape: stored.shape, values: stored.data as Float32Array<ArrayBuffer> };
      const isDepthwise = 'groups' in layer && (layer.groups ?? 1) > 1;
      const axes = part === 'bias' ? [0] : kind === 'dense' ? [1, 0] : isDepthwise ? [2, 3, 0, 1] : [2, 3, 1, 0];
      weights.set(`${name}.${part}`, upload(tf, transpose(tensor, axes)));
    }
  }
  const images = upload(tf, toNhwc(exportedImages(compared)));
  const run = () => {
    const results = new Map<string, Tensor>();
    let x = images;
    for (const layer of spec.layers) {
      const inputs = ('from' in layer ? layer.from : undefined)?.map((name) => results.get(name)!) ?? [x];
      x = exportedLayer(tf, layer, inputs, (part) => weights.get(`${layer.name}.${part}`)!);
      if ('activation' in layer) x = activate(tf, layer.activation, x);
      results.set(layer.name, x);
    }
    return x;
  };
  return runnable(tf, [images, ...weights.values()], run);
}

/** A layer of the exported networks that are compared. @throws Error for other kinds */
function exportedLayer(tf: Tf, layer: LayerSpec, [x, y]: Tensor[], own: (part: string) => Tensor): Tensor {
  switch (layer.kind) {
    case 'reshape':
      return x;
    case 'add':
      return tf.add(x, y);
    case 'global_avg_pool':
      return tf.mean(x, [1, 2]);
    case 'dense':
      return tf.fused.matMul({ a: x, b: own('weight'), bias: own('bias') });
    case 'conv2d': {
      const { stride, padding } = squareLayer(layer);
      const [filter, bias] = [own('weight'), own('bias')];
      if ((layer.groups ?? 1) === 1)
        return tf.fused.conv2d({ x, filter, strides: stride, pad: padding, bias, dimRoundingMode: 'floor' });
      return tf.add(tf.depthwiseConv2d(x, filter, stride, padding, 'NHWC', 1, 'floor'), bias);
    }
    default:
      throw new Error(`no compared file has a layer of the kind ${layer.kind}`);
  }
}

function buildTraining(tf: Tf, compared: NetworkCase): Runnable {
  const { spec, batch, optimizer } = compared;
  const all = uploadParameters(tf, compared);
  const trained = Object.entries(all).flatMap(([name, variable]) => (name.includes('.running_') ? [] : [variable]));
  const { images, labels, vectors } = batchOf(compared);
  const oneHot = new Float32Array(batch * spec.outputs);
  for (const [row, label] of labels.entries()) oneHot[row * spec.outputs + label] = 1;
  const x = upload(tf, vectors ?? images);
  const target = vectors ? upload(tf, images) : tf.tensor(oneHot, [batch, spec.outputs]);
  const { update, state } = optimizerOf(tf, optimizer, trained);
  const loss = () => {
    const output = forward(tf, compared, all, x, true);
    return vectors ? tf.losses.meanSquaredError(target, output) : tf.losses.softmaxCrossEntropy(target, output);
  };
  const step = async () => {
    const { value, grads } = tf.variableGrads(loss, trained);
    tf.tidy(() => update(grads));
    tf.dispose(grads);
    const [number] = await value.data();
    value.dispose();
    return number;
  };
  return {
    async results() {
      const losses = new Float32Array(COMPARED_STEPS);
      for (let i = 0; i < COMPARED_STEPS; i++) losses[i] = await step();
      return losses;
    },
    run: step,
    async idle() {},
    free() {
      tf.dispose([x, target, ...Object.values(all), ...state]);
    },
  };
}

/** The formulas of PyTorch, as in shaders/optimizer/. */
function optimizerOf(
  tf: Tf,
  optimizer: OptimizerConfig,
  variables: readonly Variable[],
): { update(gradients: Record<string, Tensor>): void; state: Variable[] } {
  const zeros = () =>
    variables.map((variable) =>
      tf.variable(
        tf.tidy(() => tf.zerosLike(variable)),
        false,
      ),
    );
  const { learningRate } = optimizer;
  if (optimizer.kind === 'sgd') {
    const velocities = zeros();
    return {
      state: velocities,
      update(gradients) {
        for (const [i, variable] of variables.entries()) {
          const gradient = tf.add(gradients[variable.name], tf.mul(variable, optimizer.weightDecay));
          velocities[i].assign(tf.add(tf.mul(velocities[i], optimizer.momentum), gradient));
          variable.assign(tf.sub(variable, tf.mul(velocities[i], learningRate)));
        }
      },
    };
  }
  const [beta1, beta2] = optimizer.betas;
  const [first, second, largest] = [zeros(), zeros(), zeros()];
  let iteration = 0;
  return {
    state: [...first, ...second, ...largest],
    update(gradients) {
      iteration++;
      const rate = learningRate / (1 - beta1 ** iteration);
      const correction = 1 / Math.sqrt(1 - beta2 ** iteration);
      for (const [i, variable] of variables.entries()) {
        const gradient = gradients[variable.name];
        first[i].assign(tf.add(tf.mul(first[i], beta1), tf.mul(gradient, 1 - beta1)));
        second[i].assign(tf.add(tf.mul(second[i], beta2), tf.mul(tf.square(gradient), 1 - beta2)));
        largest[i].assign(tf.maximum(largest[i], second[i]));
        const deviation = tf.add(tf.mul(tf.sqrt(largest[i]), correction), optimizer.epsilon);
        variable.assign(tf.sub(variable, tf.mul(tf.div(first[i], deviation), rate)));
      }
    },
  };
}
