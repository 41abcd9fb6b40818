import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { type Matrix, roundUp } from '../../src/gpu/arena.ts';
import type { Activation } from '../../src/kernels/activation.ts';
import { type GemmVariant, recordApproximateGemm, recordGemm, type Transposition } from '../../src/kernels/gemm.ts';
import { isQuad } from '../../src/kernels/tiles.ts';
import { gemm, operandShapes, type Product } from '../reference/gemm.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';
import { fixedFetch } from '../support/memory.ts';
import { sumTolerance, TOLERANCES } from '../support/tolerances.ts';

const device = useGpu();
const TRANSPOSITIONS: readonly Transposition[] = ['nt', 'nn', 'tn'];
const VARIANTS: readonly GemmVariant[] = ['quad_16x32', 'quad_16x16', '16x16', '8x8', 'shared'];
const ACTIVATIONS: readonly Activation[] = ['none', 'relu', 'tanh', 'sigmoid'];

const NAN_BITS = 0x7fc00000;
/** Rows behind a matrix that hold NaN, or in an output 99. */
const EXTRA_ROWS = 19;

/** M, K, N and slices of K (undefined: as the launcher likes). */
type Case = readonly [m: number, k: number, n: number, splitK?: number];

const CASES: readonly Case[] = [
  [1, 1, 1],
  [1, 257, 40],
  [5, 7, 3],
  [34, 130, 67],
  [17, 33, 65],
  [40, 1000, 40],
  [40, 1000, 40, 1],
  [40, 1000, 40, 3],
  [3, 70, 5, 4],
];

/**
 * A software adapter compiles a large tile or the shared variant for a second and more, so these share the shapes.
 */
const SELECTED: Record<GemmVariant, Record<Transposition, readonly Case[]>> = {
  quad_16x32: { nt: [CASES[4], CASES[7]], nn: [CASES[3], CASES[7]], tn: [CASES[3], CASES[4]] },
  quad_16x16: { nt: [CASES[1], CASES[3]], nn: [CASES[2]], tn: [CASES[1], CASES[7]] },
  '16x16': { nt: [CASES[5]], nn: [CASES[4]], tn: [CASES[2]] },
  '8x8': { nt: CASES, nn: CASES.slice(1, 4), tn: [CASES[0], CASES[4], CASES[8]] },
  shared: { nt: [CASES[4]], nn: [CASES[7]], tn: [[34, 130, 67, 2]] },
};

/** A matrix with garbage right behind its last row, and a view that reaches over the garbage. */
function withGarbage(bench: Bench, rows: number, columns: number, values: ArrayLike<number>, zeroRows = 0): Matrix {
  const tall = bench.arena.matrix('operand', rows + zeroRows + EXTRA_ROWS, columns);
  const words = new Uint32Array(tall.rows * tall.stride).fill(NAN_BITS, (rows + zeroRows) * tall.stride);
  const floats = new Float32Array(words.buffer);
  for (let i = 0; i < rows * columns; i++) floats[Math.floor(i / columns) * tall.stride + (i % columns)] = values[i];
  bench.gpu.write(tall, words);
  return { ...tall, rows };
}

interface Options {
  readonly variant?: GemmVariant;
  readonly splitK?: number;
  readonly activation?: Activation;
  readonly bias?: boolean;
}

/** Records one product of random matrices on the bench and says what must come out, in C and behind it. */
function record(bench: Bench, product: Product, seed: number, { bias, ...options }: Options): Output[] {
  const { transposition, m, n, k } = product;
  const shapes = operandShapes(product);
  const a = randomValues(m * k, seed);
  const b = randomValues(n * k, seed + 1);
  const biases = bias ? randomValues(n, seed + 2) : undefined;
  // W of nn is read up to the next multiple of four rows, which parameters keep zero (src/layers/parameters.ts).
  const zeroRows = transposition === 'nn' ? roundUp(k, 4) - k : 0;
  const tall = bench.matrix(m + EXTRA_ROWS, n, new Float32Array((m + EXTRA_ROWS) * n).fill(99));
  const c = { ...tall, rows: m };
  const biasRow = biases && new Float32Array(roundUp(n, 16)).fill(Number.NaN);
  biasRow?.set(biases!);
  const name = `${transposition} ${m}x${k}x${n} ${JSON.stringify(options)}`;
  recordGemm(bench.recorder, bench.arena, {
    label: name,
    transposition,
    a: withGarbage(bench, ...shapes.a, a),
    b: withGarbage(bench, ...shapes.b, b, zeroRows),
    bias: biasRow && bench.buffer(biasRow),
    c,
    ...options,
  });
  const { absolute, relative } = sumTolerance(k);
  const behind = { ...tall, rows: EXTRA_ROWS, offset: m * tall.stride * 4, size: EXTRA_ROWS * tall.stride * 4 };
  return [
    {
      name,
      view: c,
      expected: gemm(product, a, b, biases, options.activation),
      tolerance: { relative, absolute: absolute + TOLERANCES.tanh.absolute },
    },
    {
      name: `${name}, rows behind C`,
      view: behind,
      expected: new Float32Array(EXTRA_ROWS * n).fill(99),
      tolerance: TOLERANCES.exact,
    },
  ];
}

describe.each(TRANSPOSITIONS)('%s', (transposition) => {
  const variants = VARIANTS.filter((variant) => SELECTED[variant][transposition].length > 0);
  const title = '%s agrees with its twin, keeps pads zero and never reads behind its operands';
  it.for(variants)(title, async (variant, { skip }) => {
    skip(isQuad(variant) && !device.gpu.quads, 'this adapter has no quads');
    await checkKernel(device.gpu, (bench) =>
      SELECTED[variant][transposition].flatMap(([m, k, n, splitK], i) =>
        record(bench, { transposition, m, n, k }, 10 * i, {
          variant,
          splitK,
          activation: ACTIVATIONS[i % 4],
          bias: i % 2 === 1,
        }),
      ),
    );
  });
});

it('the launcher picks a variant and slices by itself', async () => {
  await checkKernel(device.gpu, (bench) =>
    TRANSPOSITIONS.flatMap((transposition, i) =>
      record(bench, { transposition, m: 5, n: 9, k: 600 }, i, { bias: true, activation: 'tanh' }),
    ),
  );
});

it('the bits of a product do not depend on the register tile', async () => {
  const bench = new Bench(device.gpu);
  const [m, k, n] = CASES[5];
  const [a, b] = [bench.matrix(m, k, randomValues(m * k, 1)), bench.matrix(n, k, randomValues(n * k, 2))];
  const variants = VARIANTS.filter((variant) => variant !== 'shared' && (device.gpu.quads || !isQuad(variant)));
  const results = variants.map((variant) => {
    const c = bench.output(m, n);
    recordGemm(bench.recorder, bench.arena, { label: variant, transposition: 'nt', a, b, c, variant });
    return c;
  });
  (await bench.recorder.build('tiles')).run();
  const [first, ...others] = await Promise.all(results.map((c) => device.gpu.readWords(c)));
  for (const words of others) expect(words).toEqual(first);
  bench.arena.destroy();
});

it('every activation follows bias and sum, with K in one piece and in slices', async () => {
  await checkKernel(device.gpu, (bench) =>
    ACTIVATIONS.flatMap((activation, i) =>
      record(bench, { transposition: 'nt', m: 6, k: 37, n: 9 }, 10 * i, {
        variant: '8x8',
        activation,
        splitK: 1 + (i % 2),
        bias: true,
      }),
    ),
  );
});

it('an operand that is not a number in its own rows is not lost', async () => {
  const bench = new Bench(device.gpu);
  const a = bench.matrix(2, 3, [1, Number.NaN, 1, 1, 1, 1]);
  const b = bench.matrix(2, 3, [1, 1, 1, 1, 1, 1]);
  const c = bench.output(2, 2);
  recordGemm(bench.recorder, bench.arena, { label: 'nan', transposition: 'nt', a, b, c });
  (await bench.recorder.build('nan')).run();
  const values = await device.gpu.readFloats(c);
  expect(Number.isNaN(values[0]) && Number.isNaN(values[1])).toBe(true);
  expect(values[c.stride]).toBe(3);
  bench.arena.destroy();
});

describe('shapes that disagree', () => {
  const bad: readonly (readonly [Transposition, a: [number, number], b: [number, number], c: [number, number]])[] = [
    ['nt', [2, 3], [5, 4], [2, 5]],
    ['nt', [2, 3], [5, 3], [2, 4]],
    ['nt', [2, 3], [5, 3], [3, 5]],
    ['nn', [2, 3], [4, 5], [2, 5]],
    ['nn', [2, 3], [3, 5], [2, 6]],
    ['tn', [3, 2], [4, 5], [2, 5]],
    ['tn', [3, 2], [3, 5], [3, 5]],
  ];
  it.each(bad)('are refused by %s and all named: %s, %s, %s', (transposition, a, b, c) => {
    const bench = new Bench(device.gpu);
    const matrix = ([rows, columns]: [number, number]) => bench.arena.matrix('m', rows, columns);
    const args = { label: 'fc1 forward', transposition, a: matrix(a), b: matrix(b), c: matrix(c) };
    const launch = () => recordGemm(bench.recorder, bench.arena, args);
    expect(launch).toThrow(ShapeError);
    expect(launch).toThrow(
      `fc1 forward: gemm ${transposition} of ${a.join('x')} and ${b.join('x')} does not give ${c.join('x')}`,
    );
    if (transposition !== 'tn') {
      const [rows, columns] = b;
      const fused = () =>
        recordApproximateGemm(bench.recorder, {
          ...args,
          transposition,
          codes: args.b,
          maps: args.b,
          weight: { map: 0, origin: 0, rows, columns, stride: 16, fetch: fixedFetch(12) },
          perImage: false,
          passOffset: 0,
        });
      expect(fused).toThrow(ShapeError);
      expect(fused).toThrow(/fc1 forward: gemm/);
    }
    bench.arena.destroy();
  });
});
