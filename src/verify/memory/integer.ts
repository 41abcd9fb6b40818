/** Proof that a network of integers has the same answers as its reference, bit for bit, when its weights come back with errors. */
import { sha256 } from '../../data/sha256.ts';
import { Arena } from '../../gpu/arena.ts';
import type { Gpu } from '../../gpu/device.ts';
import { ApproximateMemory } from '../../injection/approximate_memory.ts';
import type { DenseSpec } from '../../layers/dense.ts';
import { layerParameters } from '../../layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../layers/parameters.ts';
import { packCodes } from '../../memory/codec.ts';
import { parseMemoryConfig } from '../../memory/config.ts';
import { fetchCodes } from '../../memory/fault_sampler.ts';
import { IntegerNetwork, inputBytes } from '../../models/integer_network.ts';
import { integerSums, rescaled } from '../../reference/integer_product.ts';
import { exactly, type Proof, SEED, stored, uniform } from './proof.ts';
import { noise } from './specimen.ts';

const LAYERS: readonly DenseSpec[] = [
  { kind: 'dense', name: 'fc1', inputs: 256, outputs: 64, activation: 'relu' },
  { kind: 'dense', name: 'fc2', inputs: 64, outputs: 40, activation: 'none' },
];
/** A million logits: samples of the errors times images times classes. */
const [SAMPLES, IMAGES] = [25, 1000];
const BIT_ERROR_RATE = 0.01;

/** Logits of a network of random weights, of every sample of errors, and how many differ from the reference. */
export interface IntegerLogits {
  readonly count: number;
  readonly differences: number;
  /** SHA-256 of the logits as little-endian i32. */
  readonly hash: string;
}

/** Weights are multiples of 1/2048, which every adapter stores as the same bytes. */
function wholeWeights(layout: ParameterLayout): Float32Array<ArrayBuffer> {
  const values = noise(layout.length, 5);
  const weights = new Float32Array(layout.length);
  for (const { rows, columns, stride, offset } of layout.slices) {
    for (let row = 0; row < rows; row++) {
      for (let i = offset + row * stride; i < offset + row * stride + columns; i++) {
        weights[i] = Math.round(2048 * values[i]) / 2048;
      }
    }
  }
  return weights;
}

/** @param samples of the errors @param images of random pixels */
export async function integerLogits(gpu: Gpu, samples = SAMPLES, images = IMAGES): Promise<IntegerLogits> {
  const arena = new Arena(gpu);
  const layout = new ParameterLayout(layerParameters(LAYERS));
  const parameters = new FlatParameters(arena, 'parameters', layout);
  const weights = wholeWeights(layout);
  gpu.write(parameters.view, weights);
  const memory = await ApproximateMemory.store(arena, parameters);
  const layer = stored([uniform(BIT_ERROR_RATE)], { format: { kind: 'int8', scale: 'per-tensor' } });
  const config = { seed: SEED, granularity: 'load', layers: { fc1: layer, fc2: layer } } as const;
  await memory.configure(parseMemoryConfig(config, ['fc1', 'fc2']));
  await memory.load(0);
  const pixels = inputBytes(noise(images * LAYERS[0].inputs, 6));
  const network = await IntegerNetwork.fit(gpu, memory, LAYERS, pixels);
  const pass = await network.forImages(pixels);
  const classes = LAYERS[1].outputs;
  const all = new Int32Array(samples * images * classes);
  let differences = 0;
  for (let sample = 0; sample < samples; sample++) {
    await memory.load(sample);
    const actual = await pass.logits();
    all.set(actual, sample * actual.length);
    const expected = referenceLogits(network, memory, weights, pixels);
    for (const [i, logit] of actual.entries()) differences += logit === expected[i] ? 0 : 1;
  }
  pass.destroy();
  arena.destroy();
  return { count: all.length, differences, hash: await sha256(new Uint8Array(all.buffer)) };
}

/** The same by the reference of the memory and of the products, on the CPU. */
function referenceLogits(
  network: IntegerNetwork,
  memory: ApproximateMemory,
  weights: Float32Array,
  pixels: Int8Array,
): Int32Array {
  let x = pixels;
  let sums = new Int32Array();
  for (const { spec, bias, rescaling } of network.layers) {
    const read = (name: string): Int8Array => {
      const { rows, columns, stride, offset } = memory.exact.layout.find(name);
      const codec = memory.codecOf(name);
      const codes = Array.from(weights.subarray(offset, offset + rows * stride), (weight) => codec.encode(weight, 0));
      const image = { words: packCodes(codes, codec.storageBits), rows, columns, stride, codec };
      const bytes = new Int8Array(fetchCodes(image, memory.faultSamplerOf(name)).slice().buffer);
      return Int8Array.from(
        { length: rows * columns },
        (_, i) => bytes[Math.floor(i / columns) * stride + (i % columns)],
      );
    };
    sums = integerSums(x, read(`${spec.name}.weight`), read(`${spec.name}.bias`), bias);
    if (rescaling) x = rescaled(sums, rescaling);
  }
  return sums;
}

/** Compares a million logits under errors with the reference; equal hashes on two adapters are equal logits. */
export async function integerPredictions(gpu: Gpu): Promise<Proof> {
  const { count, differences, hash } = await integerLogits(gpu);
  return exactly(
    'a network of integers has the same logits as its reference',
    differences,
    `${count} logits (SHA-256 ${hash.slice(0, 16)})`,
  );
}
