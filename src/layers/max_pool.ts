import { roundUp } from '../gpu/arena.ts';
import { type Activation, activatedBy } from '../kernels/activation.ts';
import { recordMaxPool2dBackward, recordMaxPool2dForward } from '../kernels/pool.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';
import { type PoolWindows, poolShape } from './pool_shape.ts';

/**
 * Max pooling, then an activation. Padding never wins. Pixels at the edges that do not fill a window are dropped unless
 * `ceilMode` is true.
 */
export interface MaxPoolSpec extends LayerBase, PoolWindows {
  readonly kind: 'max_pool';
  readonly input: ImageShape;
  readonly activation: Activation;
}

const shapeOf = (spec: MaxPoolSpec, batch: number) => poolShape(spec.name, batch, spec.input, spec);

export const MAX_POOL: LayerKind<MaxPoolSpec> = {
  input: ({ input }) => input,
  output(spec) {
    const { outHeight, outWidth } = shapeOf(spec, 1);
    return { height: outHeight, width: outWidth, channels: spec.input.channels };
  },
  parameters: () => NO_PARAMETERS,
  differentiatesActivation: true,
  backwardReads: ({ activation }) => ({ x: false, y: activation !== 'none' }),
  save(arena, spec, batch) {
    const { height, width, channels } = MAX_POOL.output(spec);
    return { chosen: arena.allocate(`${spec.name} chosen`, batch * height * width * roundUp(channels, 16) * 4) };
  },
  forward({ recorder, spec, batch, x: input, y: output, saved }) {
    const { activation } = spec;
    recordMaxPool2dForward(recorder, { shape: shapeOf(spec, batch), input, output, chosen: saved.chosen!, activation });
  },
  backward({ recorder, spec, batch, y, saved }, { dy: gradOutput, dx: gradInput }) {
    if (!gradInput) return;
    const shape = shapeOf(spec, batch);
    const activated = activatedBy(spec.activation, y);
    recordMaxPool2dBackward(recorder, { shape, chosen: saved.chosen!, activated, gradOutput, gradInput });
  },
};
