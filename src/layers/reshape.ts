import { type Matrix, ROW_ALIGNMENT } from '../gpu/arena.ts';
import { recordRestride } from '../kernels/restride.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS, sizeOf } from './layer.ts';

/**
 * The same values in another shape: an image flattened to a vector in the order height, width, channels, or the inverse.
 * It records nothing if both shapes have the same layout in memory.
 */
export interface ReshapeSpec extends LayerBase {
  readonly kind: 'reshape';
  readonly input: ImageShape;
  readonly output: ImageShape;
}

export const RESHAPE: LayerKind<ReshapeSpec> = {
  input: ({ input }) => input,
  output: ({ output }) => output,
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: false }),
  view({ output }, x, batch): Matrix | undefined {
    const { height, width, channels } = output;
    const alignment = height * width === 1 ? ROW_ALIGNMENT : 4;
    if (x.stride !== x.columns || channels % alignment !== 0) return undefined;
    const rows = batch * height * width;
    // The row of zeros of the input can only serve the output if rows keep their length.
    const zeroRow = channels === x.columns ? x.zeroRow : undefined;
    return { ...x, rows, columns: channels, stride: channels, zeroRow };
  },
  forward({ recorder, x, y }) {
    if (x.buffer !== y.buffer) recordRestride(recorder, { input: x, output: y });
  },
  backward({ recorder }, { dy, dx }) {
    if (dx && dx.buffer !== dy.buffer) recordRestride(recorder, { input: dy, output: dx });
  },
};

/** Flattens images into vectors. */
export function flatten(name: string, input: ImageShape): ReshapeSpec {
  return { kind: 'reshape', name, input, output: { height: 1, width: 1, channels: sizeOf(input) } };
}
