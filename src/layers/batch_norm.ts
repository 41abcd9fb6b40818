import { type Activation, activatedBy } from '../kernels/activation.ts';
import {
  recordBatchNormBackward,
  recordBatchNormInference,
  recordBatchNormInferenceBackward,
  recordBatchNormTraining,
} from '../kernels/norm.ts';
import type { ImageShape, LayerBase, LayerKind, LayerWeights } from './layer.ts';

/** Batch normalisation per channel (statistics of the batch in training, else running statistics), then an activation. */
export interface BatchNormSpec extends LayerBase {
  readonly kind: 'batch_norm';
  readonly input: ImageShape;
  readonly activation: Activation;
  /** Added to the variance; PyTorch's default if absent. */
  readonly epsilon?: number;
}

function vectorsOf(name: string, weights: LayerWeights) {
  if (weights.kind !== 'plain' || !weights.bias || !weights.runningMean || !weights.runningVariance) {
    throw new Error(`${name}: batch normalisation can only read its parameters from a plain buffer`);
  }
  const { weight: gamma, bias: beta, runningMean, runningVariance } = weights;
  return { gamma, beta, runningMean, runningVariance };
}

/** Arguments with which a convolution applies the batch normalisation after it as its epilogue. */
export function batchNormEpilogue({ name, activation, epsilon }: BatchNormSpec, weights: LayerWeights) {
  return { normalisation: { ...vectorsOf(name, weights), epsilon }, activation };
}

/**
 * Batch normalisation as a layer, initialised as the identity. If input and output are the same buffer, the convolution
 * before has already applied it as its epilogue.
 */
export const BATCH_NORM: LayerKind<BatchNormSpec> = {
  input: ({ input }) => input,
  output: ({ input }) => input,

  parameters: ({ name, input: { channels } }) => {
    const vector = { layer: name, rows: 1, columns: channels, shape: [channels] };
    const zero = { kind: 'constant', value: 0 } as const;
    const one = { kind: 'constant', value: 1 } as const;
    return [
      { ...vector, name: `${name}.weight`, initialization: one },
      { ...vector, name: `${name}.bias`, initialization: zero },
      { ...vector, name: `${name}.running_mean`, initialization: zero, trainable: false },
      { ...vector, name: `${name}.running_var`, initialization: one, trainable: false },
    ];
  },

  differentiatesActivation: true,
  backwardReads: ({ activation }, learns) => ({ x: learns, y: activation !== 'none' }),

  save: (arena, { name, input: { channels } }) => ({ statistics: arena.matrix(`${name} statistics`, 2, channels) }),

  forward({ recorder, arena, spec, mode, weights, x: input, y: output, saved }) {
    if (input.buffer === output.buffer) return;
    const vectors = vectorsOf(spec.name, weights());
    const { activation, epsilon } = spec;
    const batchNorm = { ...vectors, input, output, activation, epsilon };
    if (mode.training) {
      recordBatchNormTraining(recorder, arena, { ...batchNorm, saved: saved.statistics! });
    } else {
      recordBatchNormInference(recorder, batchNorm);
    }
  },

  backward(
    { recorder, arena, spec, mode, weights, x: input, y, saved },
    { dy: gradOutput, dx: gradInput, parameters },
  ) {
    const { gamma, runningMean, runningVariance } = vectorsOf(spec.name, weights());
    const activated = activatedBy(spec.activation, y);
    const learned = parameters && { gradGamma: parameters.weight, gradBeta: parameters.bias! };
    if (mode.training) {
      if (!learned)
        throw new Error(`${spec.name}: a backward pass in training mode needs buffers for the parameter gradients`);
      const gradients = { ...learned, gradOutput, gradInput };
      recordBatchNormBackward(recorder, arena, { input, gamma, saved: saved.statistics!, activated, ...gradients });
    } else if (gradInput) {
      if (learned && input.buffer === y.buffer)
        throw new Error(`${spec.name}: the input, which the gradients need, has been overwritten`);
      const wanted = learned && { input, runningMean, ...learned };
      recordBatchNormInferenceBackward(recorder, arena, {
        gamma,
        runningVariance,
        activated,
        gradOutput,
        gradInput,
        parameters: wanted,
        epsilon: spec.epsilon,
      });
    }
  },
};
