import { type ElementwiseFunction, recordActivationBackward, recordActivationForward } from '../kernels/activation.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';

/** An element-wise function as a layer of its own. */
export interface ActivationSpec extends LayerBase {
  readonly kind: 'activation';
  readonly input: ImageShape;
  readonly function: ElementwiseFunction;
}

/** The backward pass needs the output only, not the input. */
export const ACTIVATION: LayerKind<ActivationSpec> = {
  input: ({ input }) => input,
  output: ({ input }) => input,
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: true }),
  forward({ recorder, spec, x: input, y: output }) {
    recordActivationForward(recorder, { activation: spec.function, input, output });
  },
  backward({ recorder, spec, y: output }, { dy: gradOutput, dx: gradInput }) {
    if (!gradInput) return;
    recordActivationBackward(recorder, { activation: spec.function, output, gradOutput, gradInput });
  },
};
