import { recordCopyWindow } from '../kernels/copy_window.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';

/** The channels of several inputs of one height and width, one input after the other. */
export interface ConcatSpec extends LayerBase {
  readonly kind: 'concat';
  /** Shapes of the inputs. */
  readonly inputs: readonly ImageShape[];
}

/** The place of each input among the channels of the output. */
function placesOf({ inputs }: ConcatSpec): { first: number; channels: number }[] {
  let first = 0;
  return inputs.map(({ channels }) => {
    first += channels;
    return { first: first - channels, channels };
  });
}

export const CONCAT: LayerKind<ConcatSpec> = {
  input: ({ inputs }) => inputs[0],
  inputs: ({ inputs }) => inputs,
  output({ inputs }) {
    const { height, width } = inputs[0];
    return { height, width, channels: inputs.reduce((sum, { channels }) => sum + channels, 0) };
  },
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: false }),
  forward({ recorder, spec, batch, xs, y: output }) {
    for (const [i, { first: toChannel, channels }] of placesOf(spec).entries()) {
      const copy = { batch, from: spec.inputs[i], to: spec.inputs[0], toChannel, channels };
      recordCopyWindow(recorder, { copy, input: xs[i], output });
    }
  },
  backward({ recorder, spec, batch }, { dy: input, dxs }) {
    for (const [i, { first: fromChannel, channels }] of placesOf(spec).entries()) {
      const output = dxs[i];
      const copy = { batch, from: spec.inputs[0], to: spec.inputs[i], fromChannel, channels };
      if (output) recordCopyWindow(recorder, { copy, input, output });
    }
  },
};
