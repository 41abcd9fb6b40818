import { roundUp } from '../gpu/arena.ts';
import { type Activation, activatedBy } from '../kernels/activation.ts';
import { type PoolShape, poolOutputSize, recordMaxPool2dBackward, recordMaxPool2dForward } from '../kernels/pool.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';

/**
 * Max pooling over kernelSize x kernelSize windows that do not overlap, then an activation. Pixels at the edges that do not
 * fill a window are dropped.
 */
export interface MaxPoolSpec extends LayerBase {
  readonly kind: 'max_pool';
  readonly input: ImageShape;
  readonly kernelSize: number;
  readonly activation: Activation;
}

function shapeOf({ input: { height, width }, kernelSize }: MaxPoolSpec, batch: number): PoolShape {
  return { batch, height, width, kernelSize, stride: kernelSize };
}

export const MAX_POOL: LayerKind<MaxPoolSpec> = {
  input: ({ input }) => input,
  output: (spec) => ({ ...poolOutputSize(shapeOf(spec, 1)), channels: spec.input.channels }),
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
