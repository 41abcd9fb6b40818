import { recordSoftmaxBackward, recordSoftmaxForward } from '../kernels/softmax.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';

/** Softmax over the channels, of a vector or of each pixel of an image. */
export interface SoftmaxSpec extends LayerBase {
  readonly kind: 'softmax';
  readonly input: ImageShape;
}

/** Logarithm of the softmax over the channels. */
export interface LogSoftmaxSpec extends LayerBase {
  readonly kind: 'log_softmax';
  readonly input: ImageShape;
}

/** The backward pass needs the output only, not the input. */
const softmax = (logarithm: boolean): LayerKind<SoftmaxSpec | LogSoftmaxSpec> => ({
  input: ({ input }) => input,
  output: ({ input }) => input,
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: true }),
  forward({ recorder, x: input, y: output }) {
    recordSoftmaxForward(recorder, { logarithm, input, output });
  },
  backward({ recorder, y: output }, { dy: gradOutput, dx: gradInput }) {
    if (gradInput) recordSoftmaxBackward(recorder, { logarithm, output, gradOutput, gradInput });
  },
});

export const SOFTMAX = softmax(false);
export const LOG_SOFTMAX = softmax(true);
