import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { type Matrix, roundUp } from '../../src/gpu/arena.ts';
import type { Activation } from '../../src/kernels/activation.ts';
import {
  GEMM_VARIANTS,
  type GemmVariant,
  recordApproximateGemm,
  recordGemm,
  type Transposition,
} from '../../src/kernels/gemm.ts';
import { isQuad } from '../../src/kernels/tiles.ts';
import { gemm, operandShapes, type Product } from '../../src/reference/gemm.ts';
import { sumTolerance, TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';
import { fixedFetch } from '../support/memory.ts';

const device = useGpu();
const TRANSPOSITIONS: readonly Transposition[] = ['nt', 'nn', 'tn'];
const ACTIVATIONS: readonly Activation[] = ['none', 'relu', 'tanh', 'sigmoid'];

const NAN_BITS = 0x7fc00000;
/** Number of extra rows behind a matrix: NaN behind an operand, 99 behind an output. */
const EXTRA_ROWS = 19;

/** M, K, N and the number of slices of K (undefined: the launcher chooses). */
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
 * The cases of every variant. A software adapter takes a second or more to compile a large tile or the shared variant, so
 * these variants get only some of the shapes.
 */
const SELECTED: Record<GemmVariant, Record<Transposition, readonly Case[]>> = {
  quad_16x32: { nt: [CASES[4], CASES[7]], nn: [CASES[3], CASES[7]], tn: [CASES[3], CASES[4]] },
  quad_32x16: { nt: [CASES[4], CASES[7]], nn: [CASES[3]], tn: [CASES[3], CASES[7]] },
  quad_32x32: { nt: [CASES[4]], nn: [CASES[7]], tn: [CASES[3]] },
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

/** Records one product of random matrices; returns C and the rows behind it with their expected values. */
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

describe.each(TRANSPOSITIONS)('products of transposition %s', (transposition) => {
  const variants = GEMM_VARIANTS.filter((variant) => SELECTED[variant][transposition].length > 0);
  const title = 'the variant %s agrees with its reference, keeps pads zero and never reads behind its operands';
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

it('the launcher chooses a variant and a number of slices that agree with the reference', async () => {
  await checkKernel(device.gpu, (bench) =>
    TRANSPOSITIONS.flatMap((transposition, i) =>
      record(bench, { transposition, m: 5, n: 9, k: 600 }, i, { bias: true, activation: 'tanh' }),
    ),
  );
});

it.each(TRANSPOSITIONS)('the bits of a product do not depend on the variant: %s', async (transposition) => {
  const bench = new Bench(device.gpu);
  const [m, k, n] = [40, 1003, 70];
  const shapes = operandShapes({ transposition, m, k, n });
  const operand = (name: 'a' | 'b', seed: number) => {
    const [rows, columns] = shapes[name];
    // W of nn is read up to the next multiple of four rows.
    const height = roundUp(rows, 4);
    const values = [...randomValues(rows * columns, seed), ...new Float32Array((height - rows) * columns)];
    return bench.matrix(height, columns, Float32Array.from(values));
  };
  const [a, b] = [operand('a', 1), operand('b', 2)].map((matrix, i) => ({
    ...matrix,
    rows: shapes[i === 0 ? 'a' : 'b'][0],
  }));
  const variants = GEMM_VARIANTS.filter((variant) => device.gpu.quads || !isQuad(variant));
  const results = variants.map((variant) => {
    const c = bench.output(m, n);
    recordGemm(bench.recorder, bench.arena, { label: variant, transposition, a, b, c, variant });
    return c;
  });
  (await bench.recorder.build('tiles')).run();
  const [first, ...others] = await Promise.all(results.map((c) => device.gpu.readWords(c)));
  for (const words of others) expect(words).toEqual(first);
  bench.arena.destroy();
});

describe('a batch of products', () => {
  /** Number of products in a batch. */
  const COUNT = 3;
  const BATCHES = [
    { transposition: 'nt', m: 5, k: 1000, n: 9, bias: true },
    { transposition: 'nt', m: 18, k: 37, n: 21, bias: true },
    { transposition: 'nt', m: 5, k: 37, n: 9, bias: true, shared: 'a' },
    { transposition: 'nt', m: 5, k: 1000, n: 9, bias: true, shared: 'b' },
    { transposition: 'nn', m: 5, k: 9, n: 70, bias: false },
    { transposition: 'nn', m: 5, k: 600, n: 9, bias: true },
    { transposition: 'tn', m: 5, k: 11, n: 9, bias: false },
  ] as const;

  /** Records a batch of products, and the same products one by one; returns the expected values of the batch. */
  function recordBoth(
    bench: Bench,
    { bias, ...product }: Product & { bias: boolean; shared?: 'a' | 'b' },
    variant?: GemmVariant,
  ): { batched: Matrix; alone: Matrix[]; outputs: Output[] } {
    const { transposition, m, n, k } = product;
    const shapes = operandShapes(product);
    const operand = (name: 'a' | 'b', seed: number) => {
      const [rows, columns] = shapes[name];
      const many = product.shared === name ? 1 : COUNT;
      // W of nn is read up to the next multiple of four rows.
      const height = transposition === 'nn' && name === 'b' ? roundUp(rows, 4) : rows;
      const values = Array.from({ length: many }, (_, i) => randomValues(rows * columns, seed + i));
      const padded = values.flatMap((each) => [...each, ...new Float32Array((height - rows) * columns)]);
      const whole = bench.matrix(many * height, columns, padded);
      const stride = many === 1 ? 0 : height * whole.stride;
      return {
        stride,
        first: { ...whole, rows },
        values: (i: number) => values[i % many],
        alone: (i: number) =>
          bench.matrix(height, columns, padded.slice((i % many) * height * columns).slice(0, height * columns)),
      };
    };
    const [a, b] = [operand('a', 10), operand('b', 20)];
    const biases = randomValues(COUNT * roundUp(n, 4), 30);
    const biasOf = (i: number) => (bias ? biases.slice(i * roundUp(n, 4)).slice(0, n) : undefined);
    const all = bench.output(COUNT * m, n);
    recordGemm(bench.recorder, bench.arena, {
      label: 'batch',
      transposition,
      variant,
      a: a.first,
      b: b.first,
      bias: bias ? bench.buffer(biases) : undefined,
      c: { ...all, rows: m },
      activation: 'tanh',
      batch: { count: COUNT, strideA: a.stride, strideB: b.stride, strideBias: roundUp(n, 4) },
    });
    const { absolute, relative } = sumTolerance(k);
    const expected = Array.from({ length: COUNT }, (_, i) => [
      ...gemm(product, a.values(i), b.values(i), biasOf(i), 'tanh'),
    ]).flat();
    const alone = Array.from({ length: COUNT }, (_, i) => {
      const c = bench.output(m, n);
      const row = biasOf(i);
      recordGemm(bench.recorder, bench.arena, {
        label: `alone ${i}`,
        transposition,
        variant,
        a: { ...a.alone(i), rows: shapes.a[0] },
        b: { ...b.alone(i), rows: shapes.b[0] },
        bias: row && bench.buffer(Float32Array.from({ length: roundUp(n, 4) }, (_, j) => row[j] ?? 0)),
        c,
        activation: 'tanh',
      });
      return c;
    });
    const tolerance = { relative, absolute: absolute + TOLERANCES.tanh.absolute };
    return {
      batched: all,
      alone,
      outputs: [{ name: 'batch', view: all, expected: Float64Array.from(expected), tolerance }],
    };
  }

  it.each(BATCHES)(
    'a batch of products agrees with its reference: $transposition $m x $k x $n, shared $shared',
    async (product) => {
      await checkKernel(device.gpu, (bench) => recordBoth(bench, product).outputs);
    },
  );

  it.each([undefined, 'shared'] as const)(
    'a batch of products has the bits of separate products, variant %s',
    async (variant) => {
      const products = variant ? [BATCHES[0], BATCHES[4]] : BATCHES;
      const bench = new Bench(device.gpu);
      const recorded = products.map((product) => recordBoth(bench, product, variant));
      (await bench.recorder.build('batches')).run();
      for (const { batched, alone } of recorded) {
        const words = await Promise.all(alone.map((c) => device.gpu.readWords(c)));
        expect(await device.gpu.readWords(batched)).toEqual(Uint32Array.from(words.flatMap((each) => [...each])));
      }
      bench.arena.destroy();
    },
  );

  it('a batch of products is refused if a view ends before its last product, or a product does not start on a vec4', () => {
    const bench = new Bench(device.gpu);
    const [a, b, c] = [bench.arena.matrix('a', 2, 3), bench.arena.matrix('b', 5, 3), bench.arena.matrix('c', 4, 5)];
    const launch = (rows: number, strideA: number, count: number) => () =>
      recordGemm(bench.recorder, bench.arena, {
        label: 'fold',
        transposition: 'nt',
        a: { ...a, rows },
        b,
        c: { ...c, rows },
        batch: { count, strideA, strideB: 0, strideBias: 0 },
      });
    expect(launch(1, 16, 2)).not.toThrow();
    expect(launch(1, 3, 2)).toThrow(/the stride of a, 3 f32, is not a multiple of 4/);
    expect(launch(2, 32, 2)).toThrow(/fold: a of 2 products has 128 bytes, 256 are needed/);
    expect(launch(2, 0, 3)).toThrow(/fold: c of 3 products has 256 bytes, 384 are needed/);
    expect(launch(2, 0, 3)).toThrow(ShapeError);
    bench.arena.destroy();
  });
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

it('a NaN in the rows of an operand reaches the result', async () => {
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

describe('products whose shapes disagree', () => {
  const bad: readonly (readonly [Transposition, a: [number, number], b: [number, number], c: [number, number]])[] = [
    ['nt', [2, 3], [5, 4], [2, 5]],
    ['nt', [2, 3], [5, 3], [2, 4]],
    ['nt', [2, 3], [5, 3], [3, 5]],
    ['nn', [2, 3], [4, 5], [2, 5]],
    ['nn', [2, 3], [3, 5], [2, 6]],
    ['tn', [3, 2], [4, 5], [2, 5]],
    ['tn', [3, 2], [3, 5], [3, 5]],
  ];
  it.each(bad)('a product %s refuses and names shapes that disagree: %s, %s, %s', (transposition, a, b, c) => {
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
          faultTable: args.b,
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
