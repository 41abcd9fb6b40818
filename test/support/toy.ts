import { createDataset, type ImageDataset } from '../../src/data/dataset.ts';
import type { Arena } from '../../src/gpu/arena.ts';
import { FlatParameters } from '../../src/layers/parameters.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import type { ModelSpec } from '../../src/models/model_spec.ts';
import type { TrainingConfig } from '../../src/models/training_config.ts';
import { Random } from '../../src/random.ts';
import { randomValues } from './gpu.ts';

/** Pixels of a toy image: 6 wide, 4 high. */
export const TOY = { width: 6, height: 4, pixels: 24, classes: 5 } as const;

/**
 * Images of five classes: one pattern per class, plus noise of less than `noise` gray levels per pixel. A few epochs of
 * training tell the classes apart.
 */
export async function toyDataset(perClass = 6, noise = 60): Promise<ImageDataset> {
  const count = TOY.classes * perClass;
  const patterns = Array.from({ length: TOY.classes }, (_, label) => {
    const random = new Random(17, label);
    return Array.from({ length: TOY.pixels }, () => random.uniformInt(2) * 150 + 20);
  });
  const random = new Random(18);
  const labels = Uint32Array.from({ length: count }, (_, i) => i % TOY.classes);
  const images = Uint8Array.from({ length: count * TOY.pixels }, (_, i) => {
    const label = labels[Math.floor(i / TOY.pixels)];
    return patterns[label][i % TOY.pixels] + random.uniformInt(noise);
  });
  return createDataset({
    name: 'toy',
    width: TOY.width,
    height: TOY.height,
    classNames: patterns.map((_, label) => `class ${label}`),
    images,
    labels,
    ids: Array.from(labels, (label, i) => `${label}/${i}`),
  });
}

/** Random parameters on the device, biases included: uniform in -scale..scale. */
export function randomParameters(arena: Arena, spec: ModelSpec, seed: number, scale = 0.5): FlatParameters {
  const parameters = new FlatParameters(arena, 'random parameters', modelLayout(spec));
  const { layout } = parameters;
  const flat = new Uint32Array(layout.length);
  for (const slice of layout.slices) {
    const values = randomValues(slice.rows * slice.columns, seed + slice.index, scale);
    layout.pack(slice, new Uint32Array(values.buffer), flat);
  }
  arena.gpu.write(parameters.view, flat);
  return parameters;
}

export const SGD: TrainingConfig = {
  epochs: 3,
  batchSize: 8,
  optimizer: { kind: 'sgd', learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4 },
  seed: 3,
};

export const ADAM: TrainingConfig = {
  ...SGD,
  optimizer: { kind: 'adam', learningRate: 5e-3, betas: [0.9, 0.999], epsilon: 1e-8, amsgrad: true },
};
