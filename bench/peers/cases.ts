/** The cases of the comparison: shapes, networks and numbers, the same for every engine. Numbers are in PyTorch's layouts. */
import { readFileSync } from 'node:fs';
import { convOutputSize, type SquareShape } from '../../src/kernels/conv_shape.ts';
import type { Transposition } from '../../src/kernels/gemm.ts';
import { layerParameters } from '../../src/layers/kinds.ts';
import type { ParameterDeclaration } from '../../src/layers/parameters.ts';
import type { ModelSpec } from '../../src/models/model_spec.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { type OptimizerConfig, PUBLISHED_TRAINING } from '../../src/models/training_config.ts';
import { deepNetworks } from '../deep_networks.ts';

/** The direction of a pass. `forward` of a transposed convolution is the input gradient of the convolution it transposes. */
export type Direction = 'forward' | 'input gradient' | 'weight gradient';

export interface GemmCase {
  readonly kind: 'gemm';
  readonly name: string;
  readonly transposition: Transposition;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export interface ConvCase {
  readonly kind: 'conv';
  readonly name: string;
  readonly transposed: boolean;
  readonly direction: Direction;
  /** The shape; for a transposed convolution, that of the convolution that it transposes. */
  readonly shape: SquareShape;
}

export interface NetworkCase {
  /** `training`: a whole step of forward pass, backward pass and optimiser. `inference`: a forward pass to the logits. */
  readonly kind: 'training' | 'inference';
  readonly name: string;
  readonly spec: ModelSpec;
  readonly batch: number;
  readonly optimizer: OptimizerConfig;
}

/** The forward pass of a network as PyTorch exported it to ONNX, test/fixtures/networks/<file>.onnx. */
export interface ExportedCase {
  readonly kind: 'exported';
  readonly name: string;
  readonly file: string;
  readonly batch: number;
  /** Channels, height and width. */
  readonly image: readonly [number, number, number];
}

/** A forward pass whose weights and biases are 12-bit codes that fail uniformly, anew in every pass; compared without errors. */
export interface DefendedCase {
  readonly kind: 'defended';
  readonly name: string;
  readonly spec: ModelSpec;
  readonly batch: number;
  readonly bitErrorRate: number;
}

export type Case = GemmCase | ConvCase | NetworkCase | ExportedCase | DefendedCase;

/** Numbers in row-major order. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}

/** Size of the shallow model's images in pixels. */
export const SHALLOW_IMAGE = { width: 92, height: 112 } as const;
const PEOPLE = 30;
const tiny = deepNetworks('tiny', PEOPLE);
const shallow = modelSpec('mlp', SHALLOW_IMAGE.width * SHALLOW_IMAGE.height, 40);
const victim = tiny.victim.spec;

/**
 * The network without dropout: every engine draws different masks, with which no two engines would compute the same losses.
 * All other work of the step stays.
 */
function withoutDropout(spec: ModelSpec): ModelSpec {
  return { ...spec, layers: spec.layers.filter(({ kind }) => kind !== 'dropout') };
}

function convolutions(name: string, transposed: boolean, shape: SquareShape): ConvCase[] {
  const directions = ['forward', 'input gradient', 'weight gradient'] as const;
  return directions.map((direction) => ({
    kind: 'conv',
    name: `${name} ${direction}`,
    transposed,
    direction,
    shape,
  }));
}

const same = { kernelSize: 3, stride: 1, padding: 1, batch: 16 } as const;
const doubling = { kernelSize: 4, stride: 2, padding: 1, batch: 16 } as const;
const layer = 'GEMM 128x10304x1000';
const sgd = PUBLISHED_TRAINING.optimizer;
const { optimizer: amsgrad, batchSize } = tiny.victim.training;

export const CASES: readonly Case[] = [
  { kind: 'gemm', name: 'GEMM 512^3', transposition: 'nn', m: 512, n: 512, k: 512 },
  { kind: 'gemm', name: `${layer} forward`, transposition: 'nt', m: 128, n: 1000, k: 10304 },
  { kind: 'gemm', name: `${layer} input gradient`, transposition: 'nn', m: 128, n: 10304, k: 1000 },
  { kind: 'gemm', name: `${layer} weight gradient`, transposition: 'tn', m: 1000, n: 10304, k: 128 },
  ...convolutions('conv 3x3 32x32x32->64', false, { ...same, height: 32, width: 32, inChannels: 32, outChannels: 64 }),
  ...convolutions('conv 3x3 16x16x64->128', false, {
    ...same,
    height: 16,
    width: 16,
    inChannels: 64,
    outChannels: 128,
  }),
  ...convolutions('transposed conv 4x4 s2 8x8x64->16x16x32', true, {
    ...doubling,
    height: 16,
    width: 16,
    inChannels: 32,
    outChannels: 64,
  }),
  {
    kind: 'training',
    name: 'training step, 10304-1000-40',
    spec: shallow,
    batch: PUBLISHED_TRAINING.batchSize,
    optimizer: sgd,
  },
  {
    kind: 'training',
    name: 'training step, tiny victim',
    spec: withoutDropout(victim),
    batch: batchSize,
    optimizer: amsgrad,
  },
  {
    kind: 'training',
    name: 'training step, tiny inversion network',
    spec: tiny.inversion.spec,
    batch: batchSize,
    optimizer: amsgrad,
  },
  { kind: 'inference', name: 'inference, 10304-1000-40', spec: shallow, batch: 128, optimizer: sgd },
  { kind: 'inference', name: 'inference, tiny victim', spec: withoutDropout(victim), batch: 128, optimizer: amsgrad },
  { kind: 'defended', name: 'defended pass, 10304-1000-40', spec: shallow, batch: 128, bitErrorRate: 0.01 },
  { kind: 'exported', name: 'resnet_rgb.onnx, forward', file: 'resnet_rgb', batch: 64, image: [3, 32, 32] },
  { kind: 'exported', name: 'mobile.onnx, forward', file: 'mobile', batch: 64, image: [3, 40, 32] },
];

/** The case with this name. @throws Error if there is none */
export function caseNamed(name: string): Case {
  const found = CASES.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no case is called "${name}"`);
  return found;
}

/** A hash that maps every u32 to a different u32 (lowbias32 of C. Wellons' hash-prospector). */
function mix(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** A tensor of numbers in low..high, different ones for every `stream`. */
export function uniform(stream: number, shape: readonly number[], low: number, high: number): Tensor {
  const count = shape.reduce((product, n) => product * n, 1);
  const key = mix(stream);
  const values = Float32Array.from({ length: count }, (_, i) => low + ((high - low) * mix(i ^ key)) / 2 ** 32);
  return { shape, values };
}

/** The factors of a product: A is m x k, or k x m if it is transposed; B is k x n, or n x k if it is transposed. */
export function gemmInputs({ transposition, m, n, k }: GemmCase): { a: Tensor; b: Tensor } {
  return {
    a: uniform(1, transposition === 'tn' ? [k, m] : [m, k], -1, 1),
    b: uniform(2, transposition === 'nt' ? [n, k] : [k, n], -1, 1),
  };
}

/** NCHW shapes of a convolution's input (`large`) and output (`small`), and [out, in, kernel, kernel] of its weights. */
export function convShapes({ shape }: ConvCase): { large: number[]; small: number[]; weight: number[] } {
  const { batch, height, width, inChannels, outChannels, kernelSize } = shape;
  const out = convOutputSize(shape);
  return {
    large: [batch, inChannels, height, width],
    small: [batch, outChannels, out.height, out.width],
    weight: [outChannels, inChannels, kernelSize, kernelSize],
  };
}

/** The pass of the underlying convolution: a transposed convolution swaps forward pass and input gradient. */
export function convOperation({ transposed, direction }: ConvCase): Direction {
  if (!transposed || direction === 'weight gradient') return direction;
  return direction === 'forward' ? 'input gradient' : 'forward';
}

/** Values of input, output and weights; a case computes one of them from the other two. */
export function convInputs(compared: ConvCase): { large: Tensor; small: Tensor; weight: Tensor } {
  const { large, small, weight } = convShapes(compared);
  return { large: uniform(3, large, -1, 1), small: uniform(4, small, -1, 1), weight: uniform(5, weight, -1, 1) };
}

/** Initial parameters by name. None are all zero or all one, so that the omission of a term changes the results. */
export function initialParameters(spec: ModelSpec): Map<string, Tensor> {
  const declared = layerParameters(spec.layers);
  return new Map(declared.map((declaration, i) => [declaration.name, initial(declaration, 100 + i)]));
}

function initial({ name, shape }: ParameterDeclaration, stream: number): Tensor {
  // Weights of products preserve the variance of their inputs.
  if (shape.length > 1) {
    const bound = Math.sqrt(3 / shape.slice(1).reduce((product, n) => product * n, 1));
    return uniform(stream, shape, -bound, bound);
  }
  const centred = name.endsWith('.bias') || name.endsWith('.running_mean');
  return centred ? uniform(stream, shape, -0.1, 0.1) : uniform(stream, shape, 0.5, 1.5);
}

/** One batch of images with their labels; for the inversion network also the vectors from which it makes images. */
export interface Batch {
  /** [batch, pixels], 8-bit. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** [batch, pixels], the bytes divided by 255. */
  readonly images: Tensor;
  /** [batch] */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** [batch, classes]; only for the inversion network. */
  readonly vectors?: Tensor;
}

export function batchOf({ spec, batch }: Pick<NetworkCase, 'spec' | 'batch'>): Batch {
  const inverts = spec.description.kind === 'yang-inversion';
  const pixels = inverts ? spec.outputs : spec.inputs;
  const bytes = Uint8Array.from({ length: batch * pixels }, (_, i) => mix(i ^ mix(6)) >>> 24);
  const images = { shape: [batch, pixels], values: Float32Array.from(bytes, (byte) => byte / 255) };
  const labels = Uint32Array.from({ length: batch }, (_, i) => i % spec.outputs);
  return { bytes, images, labels, vectors: inverts ? uniform(7, [batch, spec.inputs], -1, 1) : undefined };
}

/** The bytes of an exported network. */
export function exportedFile({ file }: ExportedCase): Uint8Array {
  return readFileSync(new URL(`../../test/fixtures/networks/${file}.onnx`, import.meta.url));
}

/** Images for an exported network, [batch, channels, height, width]. */
export const exportedImages = ({ batch, image }: ExportedCase): Tensor => uniform(6, [batch, ...image], 0, 1);
