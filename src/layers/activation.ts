import { type Activation, recordActivationBackward, recordActivationForward } from '../kernels/activation.ts';
import { type ImageShape, type LayerKind, NO_PARAMETERS } from './layer.ts';

/** y = act(x), where the activation cannot be the epilogue of the layer before. */
export interface ActivationSpec {
  readonly kind: 'activation';
  readonly name: string;
  readonly input: ImageShape;
  readonly function: Activation;
}

export const ACTIVATION: LayerKind<ActivationSpec> = {
  input: ({ input }) => input,
  output: ({ input }) => input,
  parameters: () => NO_PARAMETERS,
  forward({ recorder, spec, x, y }) {
    recordActivationForward(recorder, { activation: spec.function, input: x, output: y });
  },
  backward({ recorder, spec, y }, { dy, dx }) {
    if (!dx) return;
    recordActivationBackward(recorder, { activation: spec.function, output: y, gradOutput: dy, gradInput: dx });
  },
};
