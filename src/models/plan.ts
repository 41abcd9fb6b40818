/** The size of a model and the cost of its training, as the real planning functions compute them, without a device. */
import { Arena, roundUp } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Dispatch } from '../gpu/dispatch.ts';
import { Recorder } from '../gpu/recorder.ts';
import { planGraph, recordBackward, recordForward } from '../layers/graph.ts';
import { layerParameters } from '../layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../layers/parameters.ts';
import { plainWeights } from '../layers/weights.ts';
import { formatBits, storageBitsOf } from '../memory/codec.ts';
import { withBottleneck } from './bottleneck.ts';
import { DependencePenalty, penalisedLayers } from './dependence_penalty.ts';
import { modelLayout } from './model_parameters.ts';
import type { ModelSpec } from './model_spec.ts';
import { PrivateGradients } from './private_gradients.ts';
import { isAutoencoder, isInversion } from './specs.ts';
import type { TrainingConfig } from './training_config.ts';

/** A buffer on the device. */
export interface PlannedBuffer {
  readonly label: string;
  readonly bytes: number;
}

/** The memory and work that a network needs; sizes in bytes as they are allocated, padding included. */
export interface NetworkPlan {
  /** Number of learned parameters. */
  readonly parameters: number;
  /** The flat buffer of all parameters, statistics of batch normalisation included. */
  readonly parameterBytes: number;
  readonly largestTensor: PlannedBuffer;
  /** Gradients of the parameters. */
  readonly gradientBytes: number;
  readonly optimizerBytes: number;
  /** The batch, activations, their gradients, and scratch of a training step. */
  readonly activationBytes: number;
  /** All buffers of training except the data set. */
  readonly trainingBytes: number;
  readonly buffers: readonly PlannedBuffer[];
  readonly batchSize: number;
  /** Floating-point operations of a forward and backward pass over a batch; a multiply-add counts as two. */
  readonly stepFlops: number;
  /** Dispatches of that step. */
  readonly stepDispatches: number;
  /** Operations of a forward pass over one image. */
  readonly inferenceFlops: number;
}

/** The number of learned parameters of a model, as PyTorch counts them. */
export function parameterCount(spec: ModelSpec): number {
  return layerParameters([...spec.layers, ...spec.decoder])
    .filter(({ trainable }) => trainable !== false)
    .reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
}

/** Plans the training of an autoencoder, or of a network without a decoder, on full batches, as Trainer does (src/models/trainer.ts). */
export function planNetwork(spec: ModelSpec, training: TrainingConfig): NetworkPlan {
  const { batchSize, optimizer, errors, dependence, bottleneck, privacy } = training;
  const buffers: PlannedBuffer[] = [];
  const arena = new Arena(standIn(buffers));
  const layers = bottleneck === undefined ? spec.layers : withBottleneck(spec.layers, bottleneck);
  // With the parameters that exist in training only.
  const layout = new ParameterLayout(layerParameters([...layers, ...spec.decoder]));
  const parameters = new FlatParameters(arena, 'parameters', layout);
  const gradients = new FlatParameters(arena, 'gradients', layout);
  const moments = optimizer.kind === 'sgd' ? 1 : optimizer.amsgrad ? 3 : 2;
  for (let i = 0; i < moments; i++) arena.allocate('optimiser state', layout.length * 4);
  if (errors) {
    // Error-aware training stores the weights in the memory image and fetches them into the other buffer.
    arena.allocate('fetched parameters', layout.length * 4);
    arena.allocate('memory image', (layout.length * storageBitsOf(formatBits(errors.format))) / 8);
  }
  arena.allocate('metrics', 16);
  const inverts = isInversion(spec);
  // DP-SGD computes the images of a batch one after the other.
  const [rows, repeated] = privacy ? [1, batchSize] : [batchSize, 1];
  const images = arena.matrix('batch', rows, inverts ? spec.outputs : spec.inputs);
  const targets = arena.allocate('targets', rows * 4);
  arena.allocate('results', rows * 8);
  const input = inverts ? arena.matrix('input', rows, spec.inputs) : images;
  const step = new WorkCounter(arena.gpu);
  const weights = plainWeights(parameters);
  const mode = { training: true, seed: 0 };
  const penalised = dependence ? penalisedLayers(spec.layers) : [];
  const rereads = (layer: string) => penalised.includes(layer);
  const trained = isAutoencoder(spec) ? [...layers, ...spec.decoder] : layers;
  const run = planGraph(arena, trained, input, { mode, gradients: { parameters: true }, rereads });
  const penalty = dependence && new DependencePenalty(arena, trained, images, run, penalised, dependence);
  recordForward(step, arena, trained, weights, run);
  recordBackward(step, arena, trained, weights, run, gradients, penalty?.record(step, images, targets, run));
  if (privacy) {
    const own = { ...privacy, examples: batchSize, seed: 0 };
    new PrivateGradients(arena, gradients, spec.layers, own).recordExample(step);
  }
  const flat = parameters.view.size;
  const largest = layout.slices.reduce((a, b) => (b.length > a.length ? b : a));
  return {
    parameters: parameterCount(spec),
    parameterBytes: modelLayout(spec).length * 4,
    largestTensor: { label: largest.name, bytes: largest.length * 4 },
    gradientBytes: flat,
    optimizerBytes: moments * flat,
    activationBytes: arena.bytes - (2 + moments) * flat,
    trainingBytes: arena.bytes,
    buffers,
    batchSize,
    stepFlops: step.flops * repeated,
    stepDispatches: step.dispatches * repeated,
    inferenceFlops: inferenceFlops(spec),
  };
}

function inferenceFlops(spec: ModelSpec): number {
  const arena = new Arena(standIn([]));
  const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
  const image = arena.matrix('image', 1, spec.inputs);
  const counter = new WorkCounter(arena.gpu);
  recordForward(counter, arena, spec.layers, plainWeights(parameters), planGraph(arena, spec.layers, image));
  return counter.flops;
}

/** Counts dispatches and operations instead of recording them. */
class WorkCounter extends Recorder {
  dispatches = 0;
  flops = 0;

  override record({ flops = 0 }: Dispatch): void {
    this.dispatches++;
    this.flops += flops;
  }
}

/** The parts of a Gpu that Arena, Recorder and the launchers use. Its buffers have a label and a size but no memory. */
function standIn(created: PlannedBuffer[]): Gpu {
  const bufferOf = (label: string, bytes: number) => {
    const size = Math.max(16, roundUp(bytes, 16));
    created.push({ label, bytes: size });
    return { label, size, destroy() {} };
  };
  const device = { createBuffer: ({ label, size }: { label: string; size: number }) => ({ label, size }) };
  // Plans do not depend on the adapter: slices of split sums are chosen by shape alone.
  return { createBuffer: bufferOf, write() {}, device, adapter: { software: true } } as unknown as Gpu;
}
