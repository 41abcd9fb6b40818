/**
 * The penalty of bilateral dependency optimisation (BiDO; Peng et al., KDD 2022): hidden values should depend little on the
 * image and much on its label. It is added to the loss of a classifier in training.
 */
import { ConfigError } from '../errors.ts';
import type { Arena, Matrix } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import {
  distanceChunks,
  recordDependenceGradient,
  recordDependenceTarget,
  recordDependenceWeights,
  recordPairDistances,
} from '../kernels/dependence.ts';
import { type GraphPlan, hiddenLayers } from '../layers/graph.ts';
import type { LayerSpec } from '../layers/kinds.ts';

/** The loss gets input * sum_j HSIC(X, Z_j) - labels * sum_j HSIC(Z_j, Y), over the images X, hidden values Z_j and labels Y. */
export interface Dependence {
  readonly input: number;
  readonly labels: number;
}

/** The layers whose outputs are penalised. @throws ConfigError for a network without any */
export function penalisedLayers(layers: readonly LayerSpec[]): readonly string[] {
  const names = hiddenLayers(layers);
  if (names.length > 0) return names;
  throw new ConfigError(
    'defences.bido: this network has no hidden values that its training as a classifier changes; choose another victim or defence',
  );
}

/** The buffers of the penalty for one batch. */
export class DependencePenalty {
  readonly #layers: readonly LayerSpec[];
  readonly #penalised: ReadonlySet<string>;
  readonly #dependence: Dependence;
  readonly #distances: BufferView;
  readonly #target: Matrix;
  readonly #weights: Matrix;
  readonly #means: BufferView;

  /**
   * @param images the largest batch
   * @param plan of this batch
   * @throws ConfigError for a network without hidden values, LimitError
   */
  constructor(
    arena: Arena,
    layers: readonly LayerSpec[],
    images: Matrix,
    plan: GraphPlan,
    penalised: readonly string[],
    dependence: Dependence,
  ) {
    const { rows } = images;
    this.#layers = layers;
    this.#penalised = new Set(penalised);
    this.#dependence = dependence;
    this.#target = arena.matrix('target of dependences', rows, rows);
    this.#weights = arena.matrix('weights of dependences', rows, rows);
    this.#means = arena.allocate('means of dependences', rows * 4);
    const values = [
      images,
      ...plan.values.filter((_, value) => value > 0 && this.#penalised.has(layers[value - 1].name)),
    ];
    const chunks = Math.max(...values.map((each) => distanceChunks(each, rows)));
    this.#distances = arena.allocate('distances of images', chunks * this.#target.size);
  }

  /**
   * Records what a batch of two or more images has in common for all layers; a single image depends on nothing.
   * @param labels one u32 per image
   * @param plan of this batch, as recordForward has filled it
   * @returns records the gradient of the penalty where that of a layer's output is complete, for recordBackward
   * @throws ShapeError
   */
  record(
    recorder: Recorder,
    images: Matrix,
    labels: BufferView,
    { values }: GraphPlan,
  ): ((layer: string, gradient: Matrix) => void) | undefined {
    const { rows } = images;
    if (rows < 2) return undefined;
    const [target, weights] = [this.#target, this.#weights].map((each) => square(each, rows));
    const means = this.#means;
    const distancesOf = (each: Matrix) => {
      const distances = { ...square(target, rows), ...this.#distances, rows: distanceChunks(each, rows) * rows };
      recordPairDistances(recorder, { values: each, images: rows, distances });
      return distances;
    };
    const distances = distancesOf(images);
    recordDependenceTarget(recorder, { images, distances, classes: labels, ...this.#dependence, target, means });
    return (layer, gradient) => {
      if (!this.#penalised.has(layer)) return;
      const hidden = values[this.#layers.findIndex(({ name }) => name === layer) + 1];
      recordDependenceWeights(recorder, { values: hidden, distances: distancesOf(hidden), target, means, weights });
      recordDependenceGradient(recorder, { values: hidden, weights, gradient });
    };
  }
}

/** The pairs of the first images of a larger batch. */
function square(pairs: Matrix, rows: number): Matrix {
  return { ...pairs, rows, columns: rows, size: rows * pairs.stride * 4 };
}
