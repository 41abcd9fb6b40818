import { recordAvgPool2dBackward, recordAvgPool2dForward } from '../kernels/avg_pool.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';
import { type PoolWindows, poolShape } from './pool_shape.ts';

/** Means of windows, with PyTorch's and ONNX's divisor. */
export interface AvgPoolSpec extends LayerBase, PoolWindows {
  readonly kind: 'avg_pool';
  readonly input: ImageShape;
  /** Whether padding, which is zero, counts in the mean. Default true. */
  readonly countIncludePad?: boolean;
}

const shapeOf = (spec: AvgPoolSpec, batch: number) => poolShape(spec.name, batch, spec.input, spec);

export const AVG_POOL: LayerKind<AvgPoolSpec> = {
  input: ({ input }) => input,
  output(spec) {
    const { outHeight, outWidth } = shapeOf(spec, 1);
    return { height: outHeight, width: outWidth, channels: spec.input.channels };
  },
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: false }),
  forward({ recorder, spec, batch, x: input, y: output }) {
    const { countIncludePad = true } = spec;
    recordAvgPool2dForward(recorder, { shape: shapeOf(spec, batch), countIncludePad, input, output });
  },
  backward({ recorder, spec, batch }, { dy: gradOutput, dx: gradInput }) {
    if (!gradInput) return;
    const { countIncludePad = true } = spec;
    recordAvgPool2dBackward(recorder, { shape: shapeOf(spec, batch), countIncludePad, gradOutput, gradInput });
  },
};
