import { recordReshapeChannelsFirst } from '../kernels/reshape_channels_first.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';

/**
 * The same values in another shape, in PyTorch's order of values: channels, height, width. It records nothing if both shapes
 * have the same number of pixels.
 */
export interface ReshapeChannelsFirstSpec extends LayerBase {
  readonly kind: 'reshape_channels_first';
  readonly input: ImageShape;
  readonly output: ImageShape;
}

const pixelsOf = ({ height, width }: ImageShape) => height * width;

export const RESHAPE_CHANNELS_FIRST: LayerKind<ReshapeChannelsFirstSpec> = {
  input: ({ input }) => input,
  output: ({ output }) => output,
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: false }),
  view: ({ input, output }, x) => (pixelsOf(input) === pixelsOf(output) ? x : undefined),
  forward({ recorder, batch, x: input, y: output }) {
    if (input.buffer !== output.buffer) recordReshapeChannelsFirst(recorder, { batch, input, output });
  },
  backward({ recorder, batch }, { dy: input, dx: output }) {
    if (output && output.buffer !== input.buffer) recordReshapeChannelsFirst(recorder, { batch, input, output });
  },
};
