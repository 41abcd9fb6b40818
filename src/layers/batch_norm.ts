import {
  recordBatchNormBackward,
  recordBatchNormInference,
  recordBatchNormInferenceBackward,
  recordBatchNormTraining,
} from '../kernels/norm.ts';
import type { ImageShape, LayerKind, LayerWeights } from './layer.ts';

/** Batch normalisation a channel: by the batch in training, by running statistics otherwise. */
export interface BatchNormSpec {
  readonly kind: 'batch_norm';
  readonly name: string;
  readonly input: ImageShape;
}

function vectorsOf(name: string, weights: LayerWeights) {
  if (weights.kind !== 'plain' || !weights.runningMean || !weights.runningVariance) {
    throw new Error(`${name}: batch normalisation reads its parameters from a plain buffer`);
  }
  const { weight: gamma, bias: beta, runningMean, runningVariance } = weights;
  return { gamma, beta, runningMean, runningVariance };
}

/** Starts as the identity. */
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

  save: (arena, { name, input: { channels } }) => ({
    mean: arena.matrix(`${name} mean`, 1, channels),
    inverseDeviation: arena.matrix(`${name} inverse deviation`, 1, channels),
  }),

  forward({ recorder, arena, spec, mode, weights, x: input, y: output, saved }) {
    const vectors = vectorsOf(spec.name, weights());
    if (mode.training) {
      const { mean: savedMean, inverseDeviation: savedInverseDeviation } = saved as Required<typeof saved>;
      recordBatchNormTraining(recorder, arena, { ...vectors, input, output, savedMean, savedInverseDeviation });
    } else {
      recordBatchNormInference(recorder, { ...vectors, input, output });
    }
  },

  backward({ recorder, arena, spec, mode, weights, x: input, saved }, { dy: gradOutput, dx: gradInput, parameters }) {
    const { gamma, runningMean, runningVariance } = vectorsOf(spec.name, weights());
    const learned = parameters && { gradGamma: parameters.weight, gradBeta: parameters.bias };
    if (mode.training) {
      if (!learned) throw new Error(`${spec.name}: a backward pass in training mode needs places for its gradients`);
      const { mean: savedMean, inverseDeviation: savedInverseDeviation } = saved as Required<typeof saved>;
      const gradients = { ...learned, gradOutput, gradInput };
      recordBatchNormBackward(recorder, arena, { input, gamma, savedMean, savedInverseDeviation, ...gradients });
    } else if (gradInput) {
      const wanted = learned && { input, runningMean, ...learned };
      recordBatchNormInferenceBackward(recorder, arena, {
        gamma,
        runningVariance,
        gradOutput,
        gradInput,
        parameters: wanted,
      });
    }
  },
};
