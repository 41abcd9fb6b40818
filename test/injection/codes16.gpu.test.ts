import { afterEach, describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { GEMM_VARIANTS, recordGemm } from '../../src/kernels/gemm.ts';
import { recordMaterialise } from '../../src/kernels/memory.ts';
import { fetchOf } from '../../src/kernels/stored.ts';
import { uniformMemory } from '../../src/memory/config.ts';
import { readKey, tensorKey } from '../../src/memory/fault_sampler.ts';
import { faultSources } from '../../src/memory/faults.ts';
import { decodeCode16 } from '../../src/memory/fixed_point.ts';
import { Bench, randomValues, useGpu } from '../support/gpu.ts';
import { faultTableWords, memoryImage, testTensor } from '../support/memory.ts';

// 37 rows of 6 blocks: invocations of 32 blocks begin within rows, and the last has fewer.
const [ROWS, COLUMNS, STRIDE, IMAGES] = [37, 83, 96, 19];
const [KEY, READ] = [tensorKey(1, 2, 3), 4];

const device = useGpu();
let bench: Bench;
afterEach(() => bench?.arena.destroy());

const bitsOf = (values: Float32Array<ArrayBuffer>) => new Uint32Array(values.buffer);

/** One read of a tensor of random codes, retained as f32 and as codes of 16 bits, and the values of its reference. */
function read(bits: number, rate: number, exponent = -11, fastPath = true) {
  bench = new Bench(device.gpu);
  const place = { map: 1, origin: 3, rows: ROWS, columns: COLUMNS, stride: STRIDE };
  const tensor = testTensor(place, bits, exponent, bits);
  const format = { bits, exponent, rate, read: READ };
  const faultTable = bench.buffer(faultTableWords([{ key: [0, 0] }, { key: KEY, ...format }]));
  const codes = memoryImage(bench, [tensor], 3 + (ROWS * STRIDE) / 16);
  const size = 40 * STRIDE * 4;
  const [f32, codes16] = ['f32', 'codes16'].map((name) => ({ ...bench.arena.allocate(name, size), size }));
  const fetch = { ...tensor.tensor.fetch, fastPath };
  const args = { tensor: { ...tensor.tensor, fetch }, codes, faultTable, passOffset: 0 };
  recordMaterialise(bench.recorder, { ...args, fetched: f32, retained: 'f32' });
  recordMaterialise(bench.recorder, { ...args, fetched: codes16, retained: 'codes16' });
  return { tensor, faultTable, f32, codes16, expected: tensor.fetch(readKey(KEY, READ), rate) };
}

// From no flips, through more flips per block than the fast path samples, to all bits.
const RATES = [0, 0.001, 0.01, 0.03, 0.0625, 0.5, 1];

describe('a read retained as codes of 16 bits', () => {
  it.each([9, 12, 15])(
    'a retained read equals the reference in codes of %i bits at every rate, also as f32',
    async (bits) => {
      // The bits must not depend on the path, at any rate.
      for (const [rate, fastPath] of RATES.flatMap((rate) =>
        [true, false].map((fastPath) => [rate, fastPath] as const),
      )) {
        const { f32, codes16, expected } = read(bits, rate, -11, fastPath);
        (await bench.recorder.build('reads')).run();
        const words = new Uint32Array(expected.buffer);
        expect(
          (await device.gpu.readWords(f32)).subarray(0, words.length),
          `rate ${rate}, fast path ${fastPath}`,
        ).toEqual(words);
        const codes = new Uint16Array((await device.gpu.readWords(codes16)).slice(0, words.length / 2).buffer);
        const inside = (_: number, i: number) => i % STRIDE < COLUMNS;
        const retained = Float32Array.from(codes, (code) => decodeCode16(code, 2 ** -11)).filter(inside);
        expect(bitsOf(retained), `rate ${rate}, fast path ${fastPath}`).toEqual(bitsOf(expected.filter(inside)));
        bench.arena.destroy();
      }
    },
  );
});

describe('a product with codes of 16 bits', () => {
  it.each([
    [9, 0.1, -3],
    [12, 0.01, -11],
    [12, 0.5, 2],
    [15, 0.0625, -20],
  ])('codes give the bits of decoded weights: %i bits, rate %d, exponent %i', async (bits, rate, exponent) => {
    for (const transposition of ['nt', 'nn'] as const) {
      for (const variant of GEMM_VARIANTS) {
        const { faultTable, f32, codes16 } = read(bits, rate, exponent);
        const shape = { rows: ROWS, columns: COLUMNS, stride: STRIDE };
        const [k, n] = transposition === 'nt' ? [COLUMNS, ROWS] : [ROWS, COLUMNS];
        const a = bench.matrix(IMAGES, k, randomValues(IMAGES * k, 5));
        const bias = bench.matrix(1, n, randomValues(n, 6));
        const product = { label: variant, transposition, a, bias, variant, activation: 'relu', splitK: 2 } as const;
        const [decoded, coded] = [0, 1].map(() => bench.matrix(IMAGES, n, new Float32Array(IMAGES * n)));
        recordGemm(bench.recorder, bench.arena, { ...product, b: { ...f32, ...shape }, c: decoded });
        const half = { ...codes16, size: codes16.size / 2 };
        recordGemm(bench.recorder, bench.arena, {
          ...product,
          b: { ...half, ...shape },
          codes16: { faultTable, map: 1 },
          c: coded,
        });
        (await bench.recorder.build('products')).run();
        const expected = await device.gpu.readWords(decoded);
        expect(new Set(expected).size).toBeGreaterThan(IMAGES);
        expect(await device.gpu.readWords(coded), `${transposition} ${variant}`).toEqual(expected);
        bench.arena.destroy();
      }
    }
  });

  it('a weight gradient with codes of 16 bits is refused', () => {
    const { faultTable, codes16 } = read(12, 0);
    const b = { ...codes16, rows: ROWS, columns: COLUMNS, stride: STRIDE };
    const a = bench.matrix(ROWS, 5, new Float32Array(ROWS * 5));
    const c = bench.matrix(5, COLUMNS, new Float32Array(5 * COLUMNS));
    const product = { label: 'tn', transposition: 'tn', a, b, c, codes16: { faultTable, map: 1 } } as const;
    expect(() => recordGemm(bench.recorder, bench.arena, product)).toThrow(ShapeError);
  });
});

it('masks take the fast path if few cells of a block fail, for codes of any size', () => {
  const fastPath = (bits: number, rate: number) => {
    const memory = uniformMemory({ kind: 'fixed', bits, exponent: 0, headroom: 0, encoding: 'corrected' }, rate);
    return fetchOf(memory, faultSources(memory, 0)).fastPath;
  };
  expect([0, 0.01, 1 / 32, 0.04, 0.5].map((rate) => fastPath(12, rate))).toEqual([true, true, true, false, false]);
  expect([0.01, 1 / 16, 0.07].map((rate) => fastPath(8, rate))).toEqual([true, true, false]);
  expect([0.01, 1 / 8, 0.13].map((rate) => fastPath(4, rate))).toEqual([true, true, false]);
});
