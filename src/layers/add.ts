import { type Activation, recordActivationBackward } from '../kernels/activation.ts';
import { recordAdd } from '../kernels/add.ts';
import { type ImageShape, type LayerBase, type LayerKind, NO_PARAMETERS } from './layer.ts';

/** The sum of two or more inputs of one shape, then an activation. */
export interface AddSpec extends LayerBase {
  readonly kind: 'add';
  /** Shape of each input. */
  readonly input: ImageShape;
  /** Number of inputs. */
  readonly count: number;
  readonly activation: Activation;
}

export const ADD: LayerKind<AddSpec> = {
  input: ({ input }) => input,
  inputs: ({ input, count }) => new Array<ImageShape>(count).fill(input),
  output: ({ input }) => input,
  parameters: () => NO_PARAMETERS,
  backwardReads: ({ activation }) => ({ x: false, y: activation !== 'none' }),
  sharesGradient: ({ activation }) => activation === 'none',
  differentiatesActivation: true,
  forward({ recorder, spec: { activation }, xs: inputs, y: output }) {
    recordAdd(recorder, { inputs, output, activation });
  },
  backward({ recorder, spec: { activation }, y: output }, { dy: gradOutput, dxs }) {
    for (const gradInput of dxs) {
      // Without an activation an input may share the gradient of the output.
      if (!gradInput || gradInput.buffer === gradOutput.buffer) continue;
      const y = activation === 'none' ? gradOutput : output;
      recordActivationBackward(recorder, { activation, output: y, gradOutput, gradInput });
    }
  },
};
