import { ConfigError } from '../errors.ts';
import type { Arena } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { learnedBits, NORM_SCRATCH_BYTES, recordAddClipped, recordNoisyMean } from '../kernels/private_gradient.ts';
import { type LayerSpec, layerParameters } from '../layers/kinds.ts';
import type { FlatParameters } from '../layers/parameters.ts';

/** DP-SGD (Abadi et al., CCS 2016): the gradient of every example is clipped, and noise is added to the sum of a batch. */
export interface PrivateTraining {
  /** Norm to which the gradient of an example is clipped, above 0. */
  readonly clip: number;
  /** Noise multiplier: deviation of the noise divided by `clip`, at least 0. */
  readonly noise: number;
}

/** @throws ConfigError for layers that mix the examples of a batch, or whose statistics would be stored without noise */
export function refuseBatchNorm(layers: readonly LayerSpec[]): void {
  const mixing = layers.find(({ kind }) => kind === 'batch_norm');
  if (mixing) {
    throw new ConfigError(
      `defences.dpSgd: ${mixing.name} is batch normalisation, whose statistics are those of the photographs; train a network without it`,
    );
  }
}

/** The gradient of DP-SGD from the gradients of single examples, which are computed one after the other. */
export class PrivateGradients {
  readonly #gradients: FlatParameters;
  readonly #config: PrivateTraining & { readonly examples: number; readonly seed: number };
  readonly #sum: BufferView;
  readonly #partial: BufferView;
  readonly #factor: BufferView;
  readonly #learned: BufferView;

  /**
   * @param gradients of one example, in which the other layers' are zero; then the gradient of the batch
   * @param trained the layers that learn
   * @param config.examples by which sums are divided: those of a full batch
   */
  constructor(
    arena: Arena,
    gradients: FlatParameters,
    trained: readonly LayerSpec[],
    config: PrivateTraining & { readonly examples: number; readonly seed: number },
  ) {
    const { layout } = gradients;
    this.#gradients = gradients;
    this.#config = config;
    this.#sum = arena.allocate('sum of clipped gradients', layout.length * 4);
    this.#partial = arena.allocate('partial sums of the norm', NORM_SCRATCH_BYTES);
    this.#factor = arena.allocate('clipping factor', 4);
    const flat = new Uint32Array(layout.length);
    for (const { name, trainable } of layerParameters(trained)) {
      const slice = layout.find(name);
      const values = new Uint32Array(slice.shape.reduce((product, n) => product * n, 1)).fill(1);
      if (trainable !== false) layout.pack(slice, values, flat);
    }
    const learned = learnedBits(flat);
    this.#learned = arena.allocate('learned elements', learned.byteLength);
    arena.gpu.write(this.#learned, learned);
  }

  /** Records the addition of the gradient of one example. */
  recordExample(recorder: Recorder): void {
    const { view, layout } = this.#gradients;
    recordAddClipped(recorder, {
      count: layout.length,
      gradient: view,
      limit: this.#config.clip,
      sum: this.#sum,
      partial: this.#partial,
      factor: this.#factor,
    });
  }

  /** Records the noisy mean of the examples since the last one. */
  recordMean(recorder: Recorder): void {
    const { view, layout } = this.#gradients;
    const { clip, noise, examples, seed } = this.#config;
    recordNoisyMean(recorder, {
      count: layout.length,
      learned: this.#learned,
      sum: this.#sum,
      gradient: view,
      deviation: noise * clip,
      examples,
      seed,
    });
  }
}
