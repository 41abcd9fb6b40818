import type { Arena, Matrix } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { Activation } from '../kernels/activation.ts';
import { recordApproximateGemm, recordGemm, type StoredTensor } from '../kernels/gemm.ts';
import type { Initialization } from '../kernels/initialize.ts';
import { columnSumScratchBytes, recordColumnSum } from '../kernels/reduce.ts';
import type { ParameterDeclaration } from './parameters.ts';

/** A fully connected layer, y = act(x Wᵀ + b), W outputs x inputs. */
export interface DenseSpec {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly activation: Activation;
}

/** Where a layer's weights come from when it runs: plain f32, or fetched inside the product. */
export type DenseWeights =
  | { readonly kind: 'plain'; readonly weight: Matrix; readonly bias: Matrix }
  | {
      readonly kind: 'fused';
      readonly weight: StoredTensor;
      readonly bias: StoredTensor;
      readonly codes: BufferView;
      readonly maps: BufferView;
      readonly perImage: boolean;
    };

export function denseParameters(spec: DenseSpec): ParameterDeclaration[] {
  return [
    { name: `${spec.name}.weight`, layer: spec.name, rows: spec.outputs, columns: spec.inputs },
    { name: `${spec.name}.bias`, layer: spec.name, rows: 1, columns: spec.outputs },
  ];
}

/** The published initialisation: xavier normal weights, zero biases. */
export function denseInitialization(spec: DenseSpec): { weight: Initialization; bias: Initialization } {
  return {
    weight: { kind: 'xavierNormal', fanIn: spec.inputs, fanOut: spec.outputs },
    bias: { kind: 'constant', value: 0 },
  };
}

/** Records y = act(x Wᵀ + b). x is batch x inputs, y is batch x outputs. @throws ShapeError */
export function recordDenseForward(
  recorder: Recorder,
  arena: Arena,
  spec: DenseSpec,
  weights: DenseWeights,
  x: Matrix,
  y: Matrix,
): void {
  const label = `${spec.name} forward`;
  if (weights.kind === 'plain') {
    const { weight, bias } = weights;
    const { activation } = spec;
    recordGemm(recorder, arena, { label, transposition: 'nt', a: x, b: weight, bias, c: y, activation });
  } else {
    const { activation } = spec;
    recordApproximateGemm(recorder, {
      ...weights,
      label,
      transposition: 'nt',
      a: x,
      c: y,
      activation,
      passOffset: 0,
    });
  }
}

/** Records dx = dz W; the weights are read once more, through approximate memory where the layer lies in it. */
export function recordDenseInputGradient(
  recorder: Recorder,
  arena: Arena,
  spec: DenseSpec,
  weights: DenseWeights,
  dz: Matrix,
  dx: Matrix,
): void {
  const label = `${spec.name} input gradient`;
  if (weights.kind === 'plain') {
    recordGemm(recorder, arena, { label, transposition: 'nn', a: dz, b: weights.weight, c: dx });
  } else {
    const { bias: _, ...fused } = weights;
    recordApproximateGemm(recorder, { ...fused, label, transposition: 'nn', a: dz, c: dx, passOffset: 1 });
  }
}

/** Records dW = dzᵀ x and db = column sums of dz. */
export function recordDenseParameterGradient(
  recorder: Recorder,
  arena: Arena,
  spec: DenseSpec,
  x: Matrix,
  dz: Matrix,
  gradient: { weight: Matrix; bias: Matrix },
): void {
  const label = `${spec.name} weight gradient`;
  recordGemm(recorder, arena, { label, transposition: 'tn', a: dz, b: x, c: gradient.weight });
  const bytes = columnSumScratchBytes(dz);
  const scratch = bytes > 0 ? arena.scratch(`column sum ${spec.name}`, bytes) : undefined;
  recordColumnSum(recorder, { input: dz, output: gradient.bias, scratch });
}
