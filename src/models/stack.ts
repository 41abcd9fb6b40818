import type { Arena, Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { recordActivationBackward } from '../kernels/activation.ts';
import {
  type DenseSpec,
  type DenseWeights,
  denseParameters,
  recordDenseForward,
  recordDenseInputGradient,
  recordDenseParameterGradient,
} from '../layers/dense.ts';
import type { FlatParameters, ParameterDeclaration } from '../layers/parameters.ts';

/** How a layer's weights are read; a plain flat buffer, or approximate memory deciding layer by layer. */
export type WeightsOf = (layer: string) => DenseWeights;

/** Reads every layer from one flat buffer, exactly. */
export function plainWeights(parameters: FlatParameters): WeightsOf {
  return (layer) => ({
    kind: 'plain',
    weight: parameters.matrix(`${layer}.weight`),
    bias: parameters.matrix(`${layer}.bias`),
  });
}

export function stackParameters(specs: readonly DenseSpec[]): ParameterDeclaration[] {
  return specs.flatMap(denseParameters);
}

/** Planned activations of a stack for a batch: `values[0]` is the input, `values[i]` the output of layer i - 1. */
export interface StackActivations {
  readonly values: readonly Matrix[];
}

/** Planned gradients: with respect to `values[i]`, and to the output of layer i before its activation. */
export interface StackGradients {
  readonly values: readonly Matrix[];
  readonly preactivations: readonly Matrix[];
}

/** Allocates the output of every layer for `x.rows` images. */
export function planStack(arena: Arena, specs: readonly DenseSpec[], x: Matrix): StackActivations {
  return { values: [x, ...specs.map((spec) => arena.matrix(`${spec.name} output`, x.rows, spec.outputs))] };
}

/**
 * Allocates gradients for a backward pass. The gradient of the last output is what the loss must write, into
 * `values[specs.length]`.
 * @param input whether the gradient with respect to the input is wanted; otherwise `values[0]` is a placeholder
 */
export function planGradients(
  arena: Arena,
  specs: readonly DenseSpec[],
  { values }: StackActivations,
  input: boolean,
): StackGradients {
  const like = (label: string, matrix: Matrix) => arena.matrix(label, matrix.rows, matrix.columns);
  const gradients = values.map((value, i) =>
    i === 0 && !input ? value : like(`${specs[i - 1]?.name ?? 'input'} gradient`, value),
  );
  const preactivations = specs.map((spec, i) =>
    spec.activation === 'none' ? gradients[i + 1] : like(`${spec.name} preactivation gradient`, values[i + 1]),
  );
  return { values: gradients, preactivations };
}

export function recordStackForward(
  recorder: Recorder,
  arena: Arena,
  specs: readonly DenseSpec[],
  weights: WeightsOf,
  { values }: StackActivations,
): void {
  specs.forEach((spec, i) => {
    recordDenseForward(recorder, arena, spec, weights(spec.name), values[i], values[i + 1]);
  });
}

/**
 * Records the backward pass from the gradient of the last output.
 * @param parameterGradients where the gradients of weights and biases go; none for an attack
 * @param input whether to compute the gradient with respect to the input
 */
export function recordStackBackward(
  recorder: Recorder,
  arena: Arena,
  specs: readonly DenseSpec[],
  weights: WeightsOf,
  activations: StackActivations,
  gradients: StackGradients,
  parameterGradients: FlatParameters | undefined,
  input: boolean,
): void {
  for (let i = specs.length - 1; i >= 0; i--) {
    const spec = specs[i];
    const dz = gradients.preactivations[i];
    if (spec.activation !== 'none') {
      recordActivationBackward(recorder, {
        activation: spec.activation,
        output: activations.values[i + 1],
        gradOutput: gradients.values[i + 1],
        gradInput: dz,
      });
    }
    if (parameterGradients) {
      recordDenseParameterGradient(recorder, arena, spec, activations.values[i], dz, {
        weight: parameterGradients.matrix(`${spec.name}.weight`),
        bias: parameterGradients.matrix(`${spec.name}.bias`),
      });
    }
    if (i > 0 || input) {
      recordDenseInputGradient(recorder, arena, spec, weights(spec.name), dz, gradients.values[i]);
    }
  }
}
