import type { Arena, Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { Activation } from '../kernels/activation.ts';
import {
  type ApproximateGemmArguments,
  recordApproximateGemm,
  recordGemm,
  recordPerImageGemm,
} from '../kernels/gemm.ts';
import { columnSumScratchBytes, recordColumnSum } from '../kernels/reduce.ts';
import { type ImageShape, type LayerBase, type LayerKind, type LayerWeights, sizeOf, vectorShape } from './layer.ts';
import { biasParameter } from './parameters.ts';

/** A fully connected layer, y = act(x Wᵀ + b), where W is outputs x inputs. */
export interface DenseSpec extends LayerBase {
  readonly kind: 'dense';
  readonly inputs: number;
  readonly outputs: number;
  readonly activation: Activation;
  /** Whether it adds a bias. Default true. */
  readonly bias?: boolean;
  /** Shape of the image that was flattened into the inputs: channel by channel in PyTorch, pixel by pixel in the engine. */
  readonly flattened?: ImageShape;
}

/** Records db = the sum of dy over its rows. @param name of the layer @throws ShapeError */
export function recordBiasGradient(recorder: Recorder, arena: Arena, name: string, dy: Matrix, bias: Matrix): void {
  const bytes = columnSumScratchBytes(dy);
  const scratch = bytes > 0 ? arena.scratch(`column sum ${name}`, bytes) : undefined;
  recordColumnSum(recorder, { input: dy, output: { ...bias, stride: dy.stride }, scratch });
}

/** Records a product whose weights are fetched inside the kernel, or corrected flip by flip for every image. */
function recordFused(
  recorder: Recorder,
  arena: Arena,
  { weight, codes, faultTable, perImage, errorFree }: Extract<LayerWeights, { kind: 'fused' }>,
  product: Omit<ApproximateGemmArguments, 'weight' | 'codes' | 'faultTable' | 'perImage'>,
): void {
  const stored = { ...product, weight, codes, faultTable };
  if (perImage && errorFree) recordPerImageGemm(recorder, arena, { ...stored, errorFree });
  else recordApproximateGemm(recorder, { ...stored, perImage });
}

/** A fully connected layer, initialised as published: Xavier normal weights, zero biases. */
export const DENSE: LayerKind<DenseSpec> = {
  input: ({ inputs }) => vectorShape(inputs),
  output: ({ outputs }) => vectorShape(outputs),

  parameters: ({ name, inputs, outputs, flattened, bias = true }) => [
    {
      name: `${name}.weight`,
      layer: name,
      rows: outputs,
      columns: inputs,
      shape: [outputs, inputs],
      taps: flattened && sizeOf(flattened) > flattened.channels ? flattened : undefined,
      initialization: { kind: 'xavierNormal', fanIn: inputs, fanOut: outputs },
    },
    ...biasParameter(name, outputs, bias),
  ],

  backwardReads: (_, learns) => ({ x: learns, y: false }),

  forward({ recorder, arena, spec: { name, activation }, weights, x, y }) {
    const source = weights();
    const product = { label: `${name} forward`, transposition: 'nt', a: x, c: y, activation } as const;
    if (source.kind === 'plain') {
      recordGemm(recorder, arena, { ...product, b: source.weight, codes16: source.codes16, bias: source.bias });
    } else {
      recordFused(recorder, arena, source, { ...product, bias: source.bias, passOffset: 0 });
    }
  },

  // The backward pass reads the weights once more, through approximate memory if the layer is stored there.
  backward({ recorder, arena, spec: { name }, weights, x }, { dy, dx, parameters }) {
    if (parameters) {
      const { weight, bias } = parameters;
      recordGemm(recorder, arena, { label: `${name} weight gradient`, transposition: 'tn', a: dy, b: x, c: weight });
      if (bias) recordBiasGradient(recorder, arena, name, dy, bias);
    }
    if (dx) {
      const source = weights();
      const product = { label: `${name} input gradient`, transposition: 'nn', a: dy, c: dx } as const;
      if (source.kind === 'plain') {
        recordGemm(recorder, arena, { ...product, b: source.weight, codes16: source.codes16 });
      } else {
        recordFused(recorder, arena, source, { ...product, passOffset: 1 });
      }
    }
  },
};
