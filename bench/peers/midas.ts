/** This project's engine, used as its own commands use it. */
import { createDataset } from '../../src/data/dataset.ts';
import { Arena, type Matrix } from '../../src/gpu/arena.ts';
import type { Gpu } from '../../src/gpu/device.ts';
import { openNodeGpu } from '../../src/gpu/node.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { recordConv2d, recordConv2dInputGradient, recordConv2dWeightGradient } from '../../src/kernels/conv.ts';
import { convWeightColumns } from '../../src/kernels/conv_shape.ts';
import { recordGemm } from '../../src/kernels/gemm.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';
import { loadParameters } from '../../src/models/checkpoint.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import { importOnnx } from '../../src/models/onnx_file.ts';
import { Trainer } from '../../src/models/trainer.ts';
import { stackVictim } from '../../src/models/victims.ts';
import {
  batchOf,
  type Case,
  type ConvCase,
  convInputs,
  convOperation,
  type DefendedCase,
  type ExportedCase,
  exportedFile,
  exportedImages,
  type GemmCase,
  gemmInputs,
  initialParameters,
  type NetworkCase,
  SHALLOW_IMAGE,
  type Tensor,
} from './cases.ts';
import { COMPARED_STEPS, type Engine, type Runnable } from './engine.ts';
import { toNchw, toNhwc } from './layouts.ts';

/** @param version of this project */
export async function openMidas(adapter: string, version: string): Promise<Engine> {
  const gpu = await openNodeGpu({ adapter });
  return {
    version,
    adapter: gpu.adapter.name,
    build: (compared: Case) => {
      if (compared.kind === 'gemm') return buildGemm(gpu, compared);
      if (compared.kind === 'conv') return buildConv(gpu, compared);
      if (compared.kind === 'exported') return buildExported(gpu, compared);
      if (compared.kind === 'defended') return buildDefended(gpu, compared);
      return compared.kind === 'training' ? buildTraining(gpu, compared) : buildInference(gpu, compared);
    },
  };
}

function write(gpu: Gpu, matrix: Matrix, values: Float32Array): Matrix {
  const { rows, columns, stride } = matrix;
  const padded = new Float32Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    padded.set(values.subarray(row * columns, (row + 1) * columns), row * stride);
  }
  gpu.write(matrix, padded);
  return matrix;
}

async function read(gpu: Gpu, matrix: Matrix): Promise<Float32Array<ArrayBuffer>> {
  const { rows, columns, stride } = matrix;
  const padded = await gpu.readFloats(matrix);
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    values.set(padded.subarray(row * stride, row * stride + columns), row * columns);
  }
  return values;
}

/** A program whose result is a matrix. @param results reads the result in PyTorch's layout */
async function runnable(
  gpu: Gpu,
  arena: Arena,
  record: (recorder: Recorder) => void,
  result: Matrix,
  results: () => Promise<Float32Array> = () => read(gpu, result),
): Promise<Runnable> {
  const recorder = new Recorder(gpu);
  record(recorder);
  const program = await recorder.build('compared');
  return {
    results() {
      program.run();
      return results();
    },
    run: () => program.run(),
    async idle() {
      await gpu.read({ ...result, size: 4 });
    },
    free: () => arena.destroy(),
  };
}

function buildGemm(gpu: Gpu, compared: GemmCase): Promise<Runnable> {
  const { name: label, transposition, m, n } = compared;
  const arena = new Arena(gpu);
  const inputs = gemmInputs(compared);
  const place = (name: string, { shape, values }: Tensor) => write(gpu, arena.matrix(name, shape[0], shape[1]), values);
  const [a, b, c] = [place('a', inputs.a), place('b', inputs.b), arena.matrix('c', m, n)];
  return runnable(gpu, arena, (recorder) => recordGemm(recorder, arena, { label, transposition, a, b, c }), c);
}

function buildConv(gpu: Gpu, compared: ConvCase): Promise<Runnable> {
  const { name: label, shape } = compared;
  const arena = new Arena(gpu);
  const inputs = convInputs(compared);
  const { kernelSize, inChannels } = shape;
  const layout = new ParameterLayout([
    {
      name: 'weight',
      layer: 'conv',
      rows: shape.outChannels,
      columns: convWeightColumns(shape),
      shape: inputs.weight.shape,
      taps: { height: kernelSize, width: kernelSize, channels: inChannels },
      initialization: { kind: 'constant', value: 0 },
    },
  ]);
  const slice = layout.find('weight');
  const image = (name: string, { shape: [batch, channels, height, width] }: Tensor) =>
    arena.image(name, batch, height, width, channels);
  const filled = (name: string, tensor: Tensor) => write(gpu, image(name, tensor), toNhwc(tensor).values);
  const parameters = new FlatParameters(arena, 'weights', layout);
  const weight = parameters.matrix('weight');
  const readImage =
    (matrix: Matrix, { shape: [batch, channels, height, width] }: Tensor) =>
    async () =>
      toNchw({ shape: [batch, height, width, channels], values: await read(gpu, matrix) }).values;
  const operation = convOperation(compared);
  if (operation === 'weight gradient') {
    const [x, dy] = [filled('x', inputs.large), filled('dy', inputs.small)];
    return runnable(
      gpu,
      arena,
      (recorder) => recordConv2dWeightGradient(recorder, arena, { label, shape, x, dy, dw: weight }),
      weight,
      async () => new Float32Array(layout.unpack(slice, await gpu.readWords(parameters.view)).buffer),
    );
  }
  const flat = new Uint32Array(layout.length);
  layout.pack(slice, new Uint32Array(inputs.weight.values.buffer), flat);
  gpu.write(parameters.view, flat);
  const weights = { kind: 'plain', weight } as const;
  if (operation === 'forward') {
    const [x, y] = [filled('x', inputs.large), image('y', inputs.small)];
    const record = (recorder: Recorder) => recordConv2d(recorder, { label, shape, x, weights, y, pass: 'forward' });
    return runnable(gpu, arena, record, y, readImage(y, inputs.small));
  }
  const [dy, dx] = [filled('dy', inputs.small), image('dx', inputs.large)];
  const record = (recorder: Recorder) =>
    recordConv2dInputGradient(recorder, { label, shape, dy, weights, dx, pass: 'forward' });
  return runnable(gpu, arena, record, dx, readImage(dx, inputs.large));
}

/** Initial parameters in the layout of the device. */
function packedParameters({ spec }: Pick<NetworkCase, 'spec'>): Uint32Array<ArrayBuffer> {
  const layout = modelLayout(spec);
  const flat = new Uint32Array(layout.length);
  for (const [name, { values }] of initialParameters(spec)) {
    layout.pack(layout.find(name), new Uint32Array(values.buffer), flat);
  }
  return flat;
}

async function buildTraining(gpu: Gpu, compared: NetworkCase): Promise<Runnable> {
  const { spec, batch, optimizer } = compared;
  const arena = new Arena(gpu);
  const { bytes, labels, vectors } = batchOf(compared);
  const side = Math.sqrt(bytes.length / batch);
  const size = Number.isInteger(side) ? { width: side, height: side } : SHALLOW_IMAGE;
  const dataset = await createDataset({
    name: 'compared',
    ...size,
    classNames: Array.from({ length: spec.outputs }, (_, i) => `class ${i}`),
    images: bytes,
    labels,
    ids: Array.from(labels, (label, i) => `${label}/${i}`),
  });
  const data = {
    ...uploadDataset(arena, dataset),
    vectors: vectors && write(gpu, arena.matrix('vectors', batch, spec.inputs), vectors.values),
  };
  const config = { epochs: Number.MAX_SAFE_INTEGER, batchSize: batch, optimizer, seed: 1 };
  const state = { epoch: 0, parameters: packedParameters(compared), optimizer: [] };
  const trainer = await Trainer.create(arena, spec, data, Uint32Array.from(labels.keys()), config, state);
  return {
    // The data set is one batch, so an epoch is one step and one read-back of its loss.
    async results() {
      const losses = new Float32Array(COMPARED_STEPS);
      for (let step = 0; step < COMPARED_STEPS; step++) losses[step] = (await trainer.trainEpoch()).loss;
      return losses;
    },
    run: () => trainer.trainEpoch(),
    async idle() {},
    free() {
      trainer.finish();
      arena.destroy();
    },
  };
}

function buildInference(gpu: Gpu, compared: NetworkCase): Promise<Runnable> {
  const { spec, batch } = compared;
  const arena = new Arena(gpu);
  const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
  gpu.write(parameters.view, packedParameters(compared));
  const x = write(gpu, arena.matrix('images', batch, spec.inputs), batchOf(compared).images.values);
  const victim = stackVictim(spec.layers, plainWeights(parameters)).plan(arena, x);
  return runnable(gpu, arena, (recorder) => victim.recordForward(recorder), victim.logits);
}

/** Weights that a pass decodes from codes with new errors. */
async function buildDefended(gpu: Gpu, compared: DefendedCase): Promise<Runnable> {
  const { spec, batch, bitErrorRate } = compared;
  const arena = new Arena(gpu);
  const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
  gpu.write(parameters.view, packedParameters(compared));
  const memory = await ApproximateMemory.store(arena, parameters);
  const x = write(gpu, arena.matrix('images', batch, spec.inputs), batchOf(compared).images.values);
  const names = spec.layers.map(({ name }) => name);
  const passAt = async (rate: number) => {
    const layer = { kind: 'stored', faults: rate > 0 ? [{ kind: 'uniform', bitErrorRate: rate }] : [] };
    await memory.configure(parseMemoryConfig({ granularity: 'pass', layers: { '*': layer } }, names));
    await memory.load(0);
    const recorder = new Recorder(gpu);
    const run = stackVictim(spec.layers, memory.weightsOf, memory).plan(arena, x, false);
    run.recordForward(recorder);
    return { logits: run.logits, program: await recorder.build('defended') };
  };
  const exact = await passAt(0);
  exact.program.run();
  const results = await read(gpu, exact.logits);
  const { program, logits } = await passAt(bitErrorRate);
  return {
    results: async () => results,
    run: () => program.run(),
    async idle() {
      await gpu.read({ ...logits, size: 4 });
    },
    free: () => arena.destroy(),
  };
}

function buildExported(gpu: Gpu, compared: ExportedCase): Promise<Runnable> {
  const arena = new Arena(gpu);
  const { spec, parameters } = importOnnx(exportedFile(compared), compared.file);
  const x = write(gpu, arena.matrix('images', compared.batch, spec.inputs), toNhwc(exportedImages(compared)).values);
  const weights = plainWeights(loadParameters(arena, { spec, parameters }));
  const victim = stackVictim(spec.layers, weights).plan(arena, x);
  return runnable(gpu, arena, (recorder) => victim.recordForward(recorder), victim.logits);
}
