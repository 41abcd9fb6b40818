import { recordBottleneckBackward, recordBottleneckForward } from '../kernels/bottleneck.ts';
import { type LayerBase, type LayerKind, NO_PARAMETERS, vectorShape } from './layer.ts';

/**
 * A layer of training: y = mu + softplus(s - 5) * noise, where mu and s are its two inputs; the backward pass adds the
 * gradient of beta times the mean over the images of KL(N(mu, sigma^2) || N(0, 1)). Outside training it is mu.
 */
export interface BottleneckSpec extends LayerBase {
  readonly kind: 'bottleneck';
  /** Number of values of each input. */
  readonly width: number;
  readonly beta: number;
}

export const BOTTLENECK: LayerKind<BottleneckSpec> = {
  input: ({ width }) => vectorShape(width),
  inputs: ({ width }) => [vectorShape(width), vectorShape(width)],
  output: ({ width }) => vectorShape(width),
  parameters: () => NO_PARAMETERS,
  backwardReads: () => ({ x: true, y: false }),
  view: (_, x, __, mode) => (mode.training ? undefined : x),
  forward({ recorder, mode, xs: [mean, raw], y: output }) {
    if (mode.training) recordBottleneckForward(recorder, { mean, raw, output, seed: mode.seed });
  },
  // The same seed in the same step draws the same noise.
  backward({ recorder, spec: { beta }, mode, xs: [mean, raw] }, { dy: gradOutput, dxs: [gradMean, gradRaw] }) {
    if (!mode.training || !gradMean || !gradRaw) return;
    recordBottleneckBackward(recorder, { mean, raw, gradOutput, gradMean, gradRaw, beta, seed: mode.seed });
  },
};
