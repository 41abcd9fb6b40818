import { recordDropout } from '../kernels/dropout.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';

/** Dropout. In training each value is set to 0 with probability `rate`, else divided by 1 - rate; otherwise the identity. */
export interface DropoutSpec extends LayerBase {
  readonly kind: 'dropout';
  readonly input: ImageShape;
  /** Probability that a value is set to zero, in [0, 1). */
  readonly rate: number;
  /** Key of the random numbers, together with the seed; must be unique in the network. */
  readonly key: number;
}

export const DROPOUT: LayerKind<DropoutSpec> = {
  input: ({ input }) => input,
  output: ({ input }) => input,
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: false }),
  view: (_, x, __, mode) => (mode.training ? undefined : x),
  forward({ recorder, spec, mode, x, y }) {
    if (!mode.training) return;
    recordDropout(recorder, { input: x, output: y, probability: spec.rate, seed: mode.seed, tensor: spec.key });
  },
  // The same kernel with the same key draws the same mask.
  backward({ recorder, spec, mode }, { dy, dx }) {
    if (!mode.training || !dx) return;
    recordDropout(recorder, { input: dy, output: dx, probability: spec.rate, seed: mode.seed, tensor: spec.key });
  },
};
