import { ShapeError } from '../errors.ts';
import { recordCopyWindow } from '../kernels/copy_window.ts';
import { edgesOf, type Padding } from '../kernels/geometry.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';

/** Pixels of one value added at the edges. */
export interface PadSpec extends LayerBase {
  readonly kind: 'pad';
  readonly input: ImageShape;
  /** Pixels added at each edge; negative numbers remove pixels. */
  readonly padding: Padding;
  /** Value of the added pixels. Default 0. */
  readonly value?: number;
}

export const PAD: LayerKind<PadSpec> = {
  input: ({ input }) => input,
  output({ name, input, padding }) {
    const { top, left, bottom, right } = edgesOf(padding);
    const [height, width] = [input.height + top + bottom, input.width + left + right];
    if (!Number.isInteger(height) || !Number.isInteger(width) || height < 1 || width < 1) {
      throw new ShapeError(
        `${name}: images of ${input.height} x ${input.width} with padding ${[top, left, bottom, right].join(', ')} are ` +
          `${height} x ${width}; give whole numbers that leave at least one pixel`,
      );
    }
    return { height, width, channels: input.channels };
  },
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: false }),
  forward({ recorder, spec, batch, x: input, y: output }) {
    const { top, left } = edgesOf(spec.padding);
    const { channels } = spec.input;
    const copy = { batch, from: spec.input, to: PAD.output(spec), top: -top, left: -left, channels, fill: spec.value };
    recordCopyWindow(recorder, { copy, input, output });
  },
  backward({ recorder, spec, batch }, { dy: input, dx: output }) {
    if (!output) return;
    const { top, left } = edgesOf(spec.padding);
    const copy = { batch, from: PAD.output(spec), to: spec.input, top, left, channels: spec.input.channels };
    recordCopyWindow(recorder, { copy, input, output });
  },
};
