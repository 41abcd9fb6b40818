import type { Matrix } from '../../src/gpu/arena.ts';
import type { Activation } from '../../src/kernels/activation.ts';
import { recordGemm } from '../../src/kernels/gemm.ts';
import type { Bench } from './gpu.ts';

/** Records output = act(input) as a product with the identity, because products apply activations in their epilogue. */
export function recordActivated(bench: Bench, activation: Activation, input: Matrix, output: Matrix): void {
  const { columns } = input;
  const identity = Float32Array.from({ length: columns * columns }, (_, i) => (i % (columns + 1) === 0 ? 1 : 0));
  const b = bench.matrix(columns, columns, identity);
  const bias = bench.matrix(1, columns, new Float32Array(columns));
  recordGemm(bench.recorder, bench.arena, {
    label: 'activated',
    transposition: 'nt',
    a: input,
    b,
    bias,
    c: output,
    activation,
  });
}
