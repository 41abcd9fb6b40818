import { recordAvgPool2dBackward, recordAvgPool2dForward } from '../kernels/avg_pool.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS, vectorShape } from './layer.ts';
import { poolShape } from './pool_shape.ts';

/** The mean of each channel over the whole image: a vector of channels. */
export interface GlobalAvgPoolSpec extends LayerBase {
  readonly kind: 'global_avg_pool';
  readonly input: ImageShape;
}

/** One window as large as the image. */
const shapeOf = ({ name, input }: GlobalAvgPoolSpec, batch: number) =>
  poolShape(name, batch, input, { kernelSize: [input.height, input.width] });

export const GLOBAL_AVG_POOL: LayerKind<GlobalAvgPoolSpec> = {
  input: ({ input }) => input,
  output: ({ input }) => vectorShape(input.channels),
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: false, y: false }),
  forward({ recorder, spec, batch, x: input, y: output }) {
    recordAvgPool2dForward(recorder, { shape: shapeOf(spec, batch), countIncludePad: false, input, output });
  },
  backward({ recorder, spec, batch }, { dy: gradOutput, dx: gradInput }) {
    if (!gradInput) return;
    const shape = shapeOf(spec, batch);
    recordAvgPool2dBackward(recorder, { shape, countIncludePad: false, gradOutput, gradInput });
  },
};
