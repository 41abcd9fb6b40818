import { recordDropout } from '../kernels/dropout.ts';
import { type ImageShape, type LayerKind, NO_PARAMETERS } from './layer.ts';

/** Sets a share `rate` of the values to zero in training and scales the others up; the identity otherwise. */
export interface DropoutSpec {
  readonly kind: 'dropout';
  readonly name: string;
  readonly input: ImageShape;
  /** 0..1, 1 excluded. */
  readonly rate: number;
  /** Keys what it draws, together with the seed: a number of its own in the network. */
  readonly key: number;
}

export const DROPOUT: LayerKind<DropoutSpec> = {
  input: ({ input }) => input,
  output: ({ input }) => input,
  parameters: () => NO_PARAMETERS,
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
