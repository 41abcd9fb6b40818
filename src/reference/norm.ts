/** References of shaders/norm, in float64, over rows of one value per channel (NHWC without padding). */

export interface BatchNormStatistics {
  readonly mean: Float64Array;
  /** 1 / sqrt(biased variance + epsilon) */
  readonly inverseDeviation: Float64Array;
  readonly runningMean: Float64Array;
  readonly runningVariance: Float64Array;
}

/** Statistics of the batch, and the running ones moved by `momentum` towards them, as PyTorch does. */
export function batchNormStatistics(
  x: ArrayLike<number>,
  running: { mean: ArrayLike<number>; variance: ArrayLike<number> },
  epsilon = 1e-5,
  momentum = 0.1,
): BatchNormStatistics {
  const channels = running.mean.length;
  const rows = x.length / channels;
  const mean = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (let i = 0; i < x.length; i++) mean[i % channels] += x[i] / rows;
  for (let i = 0; i < x.length; i++) squares[i % channels] += (x[i] - mean[i % channels]) ** 2;
  return {
    mean,
    inverseDeviation: squares.map((sum) => 1 / Math.sqrt(sum / rows + epsilon)),
    runningMean: mean.map((value, c) => (1 - momentum) * running.mean[c] + momentum * value),
    runningVariance: squares.map((sum, c) => (1 - momentum) * running.variance[c] + (momentum * sum) / (rows - 1)),
  };
}

/** 1 / sqrt(variance + epsilon), which the functions below take. */
export function inverseDeviation(variance: ArrayLike<number>, epsilon = 1e-5): Float64Array {
  return Float64Array.from(variance, (value) => 1 / Math.sqrt(value + epsilon));
}

export interface Normalisation {
  readonly gamma: ArrayLike<number>;
  readonly mean: ArrayLike<number>;
  readonly inverseDeviation: ArrayLike<number>;
}

export function batchNormForward(
  x: ArrayLike<number>,
  { gamma, mean, inverseDeviation }: Normalisation,
  beta: ArrayLike<number>,
): Float64Array {
  const channels = gamma.length;
  return Float64Array.from(x, (value, i) => {
    const c = i % channels;
    return (value - mean[c]) * inverseDeviation[c] * gamma[c] + beta[c];
  });
}

export interface BatchNormGradients {
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  /** Through the statistics of the batch. */
  readonly input: Float64Array;
  /** With the statistics constant. */
  readonly inputOfInference: Float64Array;
}

export function batchNormBackward(
  x: ArrayLike<number>,
  { gamma, mean, inverseDeviation }: Normalisation,
  gradOutput: ArrayLike<number>,
): BatchNormGradients {
  const channels = gamma.length;
  const rows = x.length / channels;
  const normalised = Float64Array.from(x, (value, i) => (value - mean[i % channels]) * inverseDeviation[i % channels]);
  const gradGamma = new Float64Array(channels);
  const gradBeta = new Float64Array(channels);
  for (let i = 0; i < x.length; i++) {
    gradGamma[i % channels] += gradOutput[i] * normalised[i];
    gradBeta[i % channels] += gradOutput[i];
  }
  const scale = (i: number) => gamma[i % channels] * inverseDeviation[i % channels];
  return {
    gamma: gradGamma,
    beta: gradBeta,
    input: normalised.map((value, i) => {
      const c = i % channels;
      return scale(i) * (gradOutput[i] - gradBeta[c] / rows - (value * gradGamma[c]) / rows);
    }),
    inputOfInference: Float64Array.from(gradOutput, (value, i) => scale(i) * value),
  };
}
