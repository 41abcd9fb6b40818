/** Twin of a stack of dense layers, forward and backward, in float64. Weights are outputs x inputs, without padding. */
import type { DenseSpec } from '../../src/layers/dense.ts';
import type { FlatParameters } from '../../src/layers/parameters.ts';
import { activationBackward } from './activation.ts';
import { gemm } from './gemm.ts';
import { columnSum } from './reduce.ts';

/** Values of every parameter by name. */
export type Parameters = ReadonlyMap<string, Float64Array>;

/** The parameters of a flat buffer's words. */
export function parametersOf(layout: FlatParameters['layout'], words: Uint32Array): Map<string, Float64Array> {
  return new Map(
    layout.slices.map((slice) => [slice.name, Float64Array.from(new Float32Array(layout.unpack(slice, words).buffer))]),
  );
}

/** What a forward pass leaves behind: the input, then the output of every layer. */
export type Activations = readonly Float64Array[];

/** @param x batch x inputs of the first layer */
export function stackForward(
  specs: readonly DenseSpec[],
  parameters: Parameters,
  x: ArrayLike<number>,
  batch: number,
): Activations {
  const values: Float64Array[] = [Float64Array.from(x)];
  for (const { name, inputs, outputs, activation } of specs) {
    const shape = { transposition: 'nt', m: batch, n: outputs, k: inputs } as const;
    const [weight, bias] = [parameters.get(`${name}.weight`)!, parameters.get(`${name}.bias`)!];
    values.push(gemm(shape, values[values.length - 1], weight, bias, activation));
  }
  return values;
}

/** @returns gradients of the parameters, and of the input */
export function stackBackward(
  specs: readonly DenseSpec[],
  parameters: Parameters,
  values: Activations,
  gradOutput: ArrayLike<number>,
): { parameters: Map<string, Float64Array>; input: Float64Array } {
  const gradients = new Map<string, Float64Array>();
  let gradient: Float64Array = Float64Array.from(gradOutput);
  for (let i = specs.length - 1; i >= 0; i--) {
    const { name, inputs, outputs, activation } = specs[i];
    const batch = values[0].length / specs[0].inputs;
    const dz = activationBackward(activation, values[i + 1], gradient);
    gradients.set(`${name}.weight`, gemm({ transposition: 'tn', m: outputs, n: inputs, k: batch }, dz, values[i]));
    gradients.set(`${name}.bias`, columnSum(dz, outputs));
    gradient = gemm({ transposition: 'nn', m: batch, n: inputs, k: outputs }, dz, parameters.get(`${name}.weight`)!);
  }
  return { parameters: gradients, input: gradient };
}
