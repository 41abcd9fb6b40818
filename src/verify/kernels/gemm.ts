/** Checks of shaders/gemm: every product in every variant, split sums, weights from approximate memory. */

import { roundUp } from '../../gpu/arena.ts';
import type { Activation } from '../../kernels/activation.ts';
import {
  GEMM_VARIANTS,
  type GemmVariant,
  recordApproximateGemm,
  recordGemm,
  recordPerImageGemm,
  type Transposition,
} from '../../kernels/gemm.ts';
import { recordMaterialise } from '../../kernels/memory.ts';
import { isQuad } from '../../kernels/tiles.ts';
import { gemm, operandShapes } from '../../reference/gemm.ts';
import { sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { type CheckedTensor, FIRST_IMAGE, memoryImage, PASS } from './memory.ts';
import { type Check, numbers, plus, unpad } from './trial.ts';

const TRANSPOSITIONS: readonly Transposition[] = ['nt', 'nn', 'tn'];

function gemmCheck(
  kernel: string,
  transposition: Transposition,
  [m, n, k]: readonly [number, number, number],
  options: { variant: GemmVariant; splitK?: number; bias?: boolean; activation?: Activation },
): Check {
  return {
    kernel,
    quads: isQuad(options.variant),
    record(trial) {
      const product = { transposition, m, n, k };
      const shapes = operandShapes(product);
      const [a, b] = [numbers(m * k, 1), numbers(n * k, 2)];
      const bias = options.bias ? numbers(n, 3) : undefined;
      const c = trial.output(m, n);
      recordGemm(trial.recorder, trial.arena, {
        label: kernel,
        transposition,
        a: trial.matrix(...shapes.a, a),
        b: trial.matrix(...shapes.b, b),
        c,
        ...options,
        bias: bias && trial.matrix(1, n, bias),
      });
      trial.expectMatrix(c, gemm(product, a, b, bias, options.activation), plus(sumTolerance(k), TOLERANCES.tanh));
    },
  };
}

function approximateGemmCheck(transposition: 'nt' | 'nn', perImage: boolean): Check {
  const [m, n, k] = [19, 21, 37];
  const kernel = `gemm ${transposition} ${perImage ? 'per image' : 'approximate'}`;
  const passOffset = transposition === 'nt' ? 0 : 1;
  return {
    kernel,
    record(trial) {
      const product = { transposition, m, n, k };
      const [rows, columns] = operandShapes(product).b;
      const { codes, faultTable, tensors } = memoryImage(trial, perImage ? 'inference' : 'pass', [
        [rows, columns],
        [1, n],
      ]);
      const [weight, bias] = tensors;
      const withBias = transposition === 'nt';
      const a = numbers(m * k, 1);
      const c = trial.output(m, n);
      recordApproximateGemm(trial.recorder, {
        label: kernel,
        transposition,
        a: trial.matrix(m, k, a),
        codes,
        faultTable,
        weight: weight.stored,
        bias: withBias ? bias.stored : undefined,
        c,
        activation: withBias ? 'relu' : 'none',
        perImage,
        passOffset,
      });
      const read = (tensor: CheckedTensor, image?: number) => {
        const { stored } = tensor;
        return unpad(tensor.fetch(PASS + passOffset, image), stored.rows, stored.columns, stored.stride);
      };
      const multiply = (count: number, first: number, image?: number) =>
        gemm(
          { ...product, m: count },
          a.subarray(first * k, (first + count) * k),
          read(weight, image),
          withBias ? read(bias, image) : undefined,
          withBias ? 'relu' : 'none',
        );
      const expected = perImage
        ? Array.from({ length: m }, (_, row) => [...multiply(1, row, FIRST_IMAGE + row)]).flat()
        : multiply(m, 0);
      trial.expectMatrix(c, expected, plus(sumTolerance(k), TOLERANCES.tanh));
    },
    prepare(program) {
      program.setStep({ passIndex: PASS });
      program.setStep({ firstImage: FIRST_IMAGE });
    },
  };
}

/** Checks a read that keeps 12-bit codes in 16 bits each, and a product that decodes them. */
function codes16Check(transposition: 'nt' | 'nn'): Check {
  const [m, n, k] = [19, 21, 37];
  const kernel = `gemm ${transposition} codes16`;
  const passOffset = transposition === 'nt' ? 0 : 1;
  return {
    kernel,
    record(trial) {
      const product = { transposition, m, n, k };
      const [rows, columns] = operandShapes(product).b;
      const { codes, faultTable, tensors } = memoryImage(trial, 'pass', [[rows, columns]]);
      const { stored, fetch } = tensors[0];
      const { stride } = stored;
      const fetched = trial.results((roundUp(rows, 4) * stride) / 2);
      recordMaterialise(trial.recorder, {
        tensor: stored,
        codes,
        faultTable,
        fetched,
        retained: 'codes16',
        passOffset,
      });
      const a = numbers(m * k, 1);
      const c = trial.output(m, n);
      recordGemm(trial.recorder, trial.arena, {
        label: kernel,
        transposition,
        a: trial.matrix(m, k, a),
        b: { ...fetched, rows, columns, stride },
        codes16: { faultTable, map: stored.map },
        c,
      });
      const weights = unpad(fetch(PASS + passOffset), rows, columns, stride);
      trial.expectMatrix(c, gemm(product, a, weights), sumTolerance(k));
    },
    prepare(program) {
      program.setStep({ passIndex: PASS });
    },
  };
}

/** The product at granularity `inference`: with error-free weights, then corrected image by image. */
function correctionCheck(transposition: 'nt' | 'nn'): Check {
  // A row spans two stretches (512 codes and the remaining 18), and most images have faults in both.
  const [m, rows, columns] = [6, 5, 530];
  const nt = transposition === 'nt';
  const passOffset = nt ? 0 : 1;
  return {
    kernel: `correct ${transposition} per image`,
    record(trial) {
      const { codes, faultTable, tensors } = memoryImage(trial, 'inference', [
        [rows, columns],
        [1, rows],
      ]);
      const [weight, bias] = tensors;
      const [n, k] = nt ? [rows, columns] : [columns, rows];
      const a = numbers(m * k, 1);
      const c = trial.output(m, n);
      recordPerImageGemm(trial.recorder, trial.arena, {
        label: `sparse faults ${transposition}`,
        transposition,
        a: trial.matrix(m, k, a),
        codes,
        faultTable,
        weight: weight.stored,
        bias: nt ? bias.stored : undefined,
        errorFree: trial.matrix(rows, columns, weight.fetchBySparseFaults()),
        c,
        activation: nt ? 'relu' : 'none',
        passOffset,
      });
      const expected = Array.from({ length: m }, (_, row) => {
        const image = FIRST_IMAGE + row;
        const shape = { transposition, m: 1, n, k } as const;
        const biases = nt ? bias.fetch(PASS, image).subarray(0, rows) : undefined;
        const weights = weight.fetchBySparseFaults(PASS + passOffset, image);
        return [...gemm(shape, a.subarray(row * k, (row + 1) * k), weights, biases, nt ? 'relu' : 'none')];
      });
      trial.expectMatrix(c, expected.flat(), plus(sumTolerance(2 * k), TOLERANCES.tanh));
    },
    prepare(program) {
      program.setStep({ passIndex: PASS });
      program.setStep({ firstImage: FIRST_IMAGE });
    },
  };
}

export const GEMMS: readonly Check[] = [
  ...TRANSPOSITIONS.flatMap((transposition) =>
    GEMM_VARIANTS.map((variant) =>
      gemmCheck(`gemm ${transposition} ${variant}`, transposition, [21, 35, 37], {
        variant,
        bias: transposition === 'nt',
        // The activation is cheap, because some variants compile the epilogue once for each vec4 that a tile stores.
        activation: transposition === 'nt' ? 'relu' : 'none',
      }),
    ),
  ),
  gemmCheck('reduce_split_k', 'nt', [5, 9, 300], {
    variant: '8x8',
    splitK: 3,
    bias: true,
    activation: 'sigmoid',
  }),
  codes16Check('nt'),
  codes16Check('nn'),
  approximateGemmCheck('nt', false),
  approximateGemmCheck('nn', false),
  approximateGemmCheck('nt', true),
  approximateGemmCheck('nn', true),
  correctionCheck('nt'),
  correctionCheck('nn'),
];
