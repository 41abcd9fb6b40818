/** Float64 references of shaders/norm, over rows with one value per channel (NHWC without padding). */

/** One value per channel each. */
export interface BatchNormStatistics {
  readonly mean: Float64Array;
  /** 1 / sqrt(biased variance + epsilon) */
  readonly inverseDeviation: Float64Array;
  readonly runningMean: Float64Array;
  readonly runningVariance: Float64Array;
}

/** Statistics of the batch, and running statistics moved towards them by the fraction `momentum`, as in PyTorch. */
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

/** Returns 1 / sqrt(variance + epsilon), an argument of the functions below. */
export function inverseDeviation(variance: ArrayLike<number>, epsilon = 1e-5): Float64Array {
  return new Float64Array(variance).map((value) => 1 / Math.sqrt(value + epsilon));
}

/** Returns (x - mean) / deviation, with one mean and one deviation per channel. */
export function normalise(x: ArrayLike<number>, mean: ArrayLike<number>, deviation: ArrayLike<number>): Float64Array {
  return new Float64Array(x).map((value, i) => (value - mean[i % mean.length]) / deviation[i % mean.length]);
}

/** The parameters of a normalisation, one value per channel each. */
export interface Normalisation {
  readonly gamma: ArrayLike<number>;
  readonly mean: ArrayLike<number>;
  readonly inverseDeviation: ArrayLike<number>;
}

/** Returns (x - mean) * inverseDeviation * gamma + beta. */
export function batchNormForward(
  x: ArrayLike<number>,
  { gamma, mean, inverseDeviation }: Normalisation,
  beta: ArrayLike<number>,
): Float64Array {
  const channels = gamma.length;
  return new Float64Array(x).map((value, i) => {
    const c = i % channels;
    return (value - mean[c]) * inverseDeviation[c] * gamma[c] + beta[c];
  });
}

/** Gradients with respect to the parameters and the input. */
export interface BatchNormGradients {
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  /** Includes the gradient through the statistics of the batch. */
  readonly input: Float64Array;
  /** With constant statistics. */
  readonly inputOfInference: Float64Array;
}

/** Returns the gradients for both training and inference. */
export function batchNormBackward(
  x: ArrayLike<number>,
  { gamma, mean, inverseDeviation }: Normalisation,
  gradOutput: ArrayLike<number>,
): BatchNormGradients {
  const channels = gamma.length;
  const rows = x.length / channels;
  const normalised = new Float64Array(x).map(
    (value, i) => (value - mean[i % channels]) * inverseDeviation[i % channels],
  );
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
    inputOfInference: new Float64Array(gradOutput).map((value, i) => scale(i) * value),
  };
}
