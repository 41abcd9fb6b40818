import { afterEach, describe, expect, it } from 'vitest';
import type { Matrix } from '../../src/gpu/arena.ts';
import { FAULT_ENTRY_WORDS } from '../../src/gpu/structs.ts';
import { faultWords, writeDraw, writeFaults, writeScale } from '../../src/injection/fault_entry.ts';
import { recordApproximateGemm, recordGemm, recordPerImageGemm } from '../../src/kernels/gemm.ts';
import { recordMaterialise } from '../../src/kernels/memory.ts';
import { fetchOf } from '../../src/kernels/stored.ts';
import { fixedCodec, floatCodec, packCodes } from '../../src/memory/codec.ts';
import { uniformMemory } from '../../src/memory/config.ts';
import { readKey, tensorKey } from '../../src/memory/fault_sampler.ts';
import { faultSources } from '../../src/memory/faults.ts';
import { floatOfBits } from '../../src/memory/floating_point.ts';
import { fetchTensorBySparseFaults } from '../../src/memory/sparse_faults.ts';
import { gemm } from '../../src/reference/gemm.ts';
import { sumTolerance } from '../../src/reference/tolerances.ts';
import { expectAllclose } from '../support/allclose.ts';
import { Bench, randomValues, readMatrix, useGpu } from '../support/gpu.ts';
import { faultTableWords, GEOMETRY, memoryImage, testTensor } from '../support/memory.ts';

// A layer of 37 inputs and 19 outputs; its bias is a tensor of its own in the same memory image.
const [INPUTS, OUTPUTS, STRIDE, BIAS_STRIDE] = [37, 19, 48, 32];
const [BITS, EXPONENT, RATE] = [12, -11, 0.15];
const WEIGHT = testTensor({ map: 1, origin: 2, rows: OUTPUTS, columns: INPUTS, stride: STRIDE }, BITS, EXPONENT, 1);
// Rows of a parameter are padded to a multiple of four with zeros: one more row of three blocks lies behind the weights.
const BIAS = testTensor(
  { map: 0, origin: 2 + (20 * STRIDE) / 16, rows: 1, columns: OUTPUTS, stride: BIAS_STRIDE },
  BITS,
  EXPONENT,
  2,
);
const KEYS = { weight: tensorKey(1, 2, 3), bias: tensorKey(1, 2, 4) };
const [READ, PASS, FORWARD, BACKWARD] = [40, 6, 0, 1];

const device = useGpu();
let bench: Bench;
const newBench = () => {
  bench = new Bench(device.gpu);
  return bench;
};
afterEach(() => bench?.arena.destroy());

type Granularity = 0 | 1 | 2;

/** The memory on the device, and the values of its reference: weights, outputs x inputs without padding, and biases. */
function memory(granularity: Granularity) {
  const format = { bits: BITS, exponent: EXPONENT, rate: RATE, read: READ, granularity };
  const faultTable = bench.buffer(
    faultTableWords([
      { key: KEYS.bias, ...format },
      { key: KEYS.weight, ...format },
    ]),
  );
  const codes = memoryImage(bench, [WEIGHT, BIAS], 80);
  const key = (tensor: readonly [number, number], passOffset: number, image?: number) =>
    readKey(tensor, READ + (granularity > 0 ? PASS + passOffset : 0), image);
  const unpad = (values: Float32Array, columns: number, stride: number) =>
    values.filter((_, i) => i % stride < columns);
  return {
    codes,
    faultTable,
    weight: WEIGHT.tensor,
    weights: (passOffset: number, image?: number) =>
      unpad(WEIGHT.fetch(key(KEYS.weight, passOffset, image), RATE), INPUTS, STRIDE),
    biases: (image?: number) => unpad(BIAS.fetch(key(KEYS.bias, FORWARD, image), RATE), OUTPUTS, BIAS_STRIDE),
  };
}

const identity = (n: number) =>
  bench.matrix(
    n,
    n,
    Float32Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0)),
  );

const zeros = (rows: number, columns: number) => bench.matrix(rows, columns, new Float32Array(rows * columns));

async function run(firstImage = 0): Promise<void> {
  const program = await bench.recorder.build('fused');
  program.setStep({ passIndex: PASS });
  program.setStep({ firstImage: firstImage });
  program.run();
}

const read = (matrix: Matrix) => readMatrix(device.gpu, matrix);

/** Bits of f32, with minus zero as zero: a sum that starts at +0 cannot keep the sign of a zero weight. */
const bits = (values: Float32Array) => new Uint32Array(values.map((value) => value + 0).buffer);

const table = (rows: number, columns: number, value: (row: number, column: number) => number) =>
  Float32Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns));

describe.each([
  ['that are the same in all passes', 0],
  ['drawn per pass', 1],
] as const)('a fused product with faults %s', (_, granularity) => {
  it('forward: the identity returns exactly the fetched weights, and zeros exactly the fetched biases', async () => {
    const { recorder } = newBench();
    const { weights, biases, ...stored } = memory(granularity);
    const [biased, onlyBias] = [bench.output(INPUTS, OUTPUTS), bench.output(INPUTS, OUTPUTS)];
    const common = { ...stored, label: 'fused', transposition: 'nt', perImage: false, passOffset: FORWARD } as const;
    recordApproximateGemm(recorder, { ...common, a: identity(INPUTS), bias: BIAS.tensor, c: biased });
    recordApproximateGemm(recorder, { ...common, a: zeros(INPUTS, INPUTS), bias: BIAS.tensor, c: onlyBias });
    await run();
    const [w, b] = [weights(FORWARD), biases()];
    expect(bits(await read(onlyBias))).toEqual(bits(table(INPUTS, OUTPUTS, (_row, column) => b[column])));
    // Weights and biases are multiples of one unit below 1, so f32 adds them exactly.
    const expected = table(INPUTS, OUTPUTS, (row, column) => w[column * INPUTS + row] + b[column]);
    expect(bits(await read(biased))).toEqual(bits(expected));
  });

  it('backward: the identity returns exactly the weights of the backward read', async () => {
    const { recorder } = newBench();
    const { weights, biases: _biases, ...stored } = memory(granularity);
    const c = bench.output(OUTPUTS, INPUTS);
    const common = { ...stored, label: 'fused', transposition: 'nn', perImage: false, passOffset: BACKWARD } as const;
    recordApproximateGemm(recorder, { ...common, a: identity(OUTPUTS), c });
    await run();
    expect(bits(await read(c))).toEqual(bits(weights(BACKWARD)));
    const sameRead = bits(weights(FORWARD)).every((word, i) => word === bits(weights(BACKWARD))[i]);
    expect(sameRead).toBe(granularity === 0);
  });
});

it('a fused batch gives the same as materialising and multiplying', async () => {
  const { recorder } = newBench();
  const { weights, biases, ...stored } = memory(0);
  const [x, dz] = [randomValues(INPUTS * INPUTS, 5), randomValues(OUTPUTS * OUTPUTS, 6)];
  const [a, gradient] = [bench.matrix(INPUTS, INPUTS, x), bench.matrix(OUTPUTS, OUTPUTS, dz)];
  const [fusedForward, forward] = [bench.output(INPUTS, OUTPUTS), bench.output(INPUTS, OUTPUTS)];
  const [fusedBackward, backward] = [bench.output(OUTPUTS, INPUTS), bench.output(OUTPUTS, INPUTS)];
  const common = { ...stored, label: 'fused', perImage: false };
  const nt = { transposition: 'nt', passOffset: FORWARD } as const;
  recordApproximateGemm(recorder, { ...common, ...nt, a, bias: BIAS.tensor, c: fusedForward });
  const nn = { transposition: 'nn', passOffset: BACKWARD } as const;
  recordApproximateGemm(recorder, { ...common, ...nn, a: gradient, c: fusedBackward });
  const w = bench.arena.matrix('fetched weights', 20, INPUTS);
  const b = bench.arena.matrix('fetched biases', 1, OUTPUTS);
  for (const [{ tensor }, fetched] of [
    [WEIGHT, w],
    [BIAS, b],
  ] as const) {
    const { codes, faultTable } = stored;
    recordMaterialise(recorder, { tensor, codes, faultTable, fetched, passOffset: 0 });
  }
  const plain = { label: 'plain', b: { ...w, rows: OUTPUTS }, variant: '8x8' } as const;
  recordGemm(recorder, bench.arena, { ...plain, transposition: 'nt', a, bias: b, c: forward });
  recordGemm(recorder, bench.arena, { ...plain, transposition: 'nn', a: gradient, c: backward });
  await run();
  const shape = { m: INPUTS, n: OUTPUTS, k: INPUTS };
  const forwardReference = gemm({ transposition: 'nt', ...shape }, x, weights(0), biases());
  const backwardReference = gemm({ transposition: 'nn', m: OUTPUTS, n: INPUTS, k: OUTPUTS }, dz, weights(0));
  for (const c of [fusedForward, forward])
    expectAllclose(await read(c), forwardReference, sumTolerance(INPUTS), 'forward');
  for (const c of [fusedBackward, backward]) {
    expectAllclose(await read(c), backwardReference, sumTolerance(OUTPUTS), 'backward');
  }
});

describe('the product of weights that every image reads for itself', () => {
  it('forward: the identity shows every image one column of its own weights, and zeros its own biases', async () => {
    const { recorder } = newBench();
    const { weights, biases, ...stored } = memory(2);
    const [product, onlyBias] = [bench.output(INPUTS, OUTPUTS), bench.output(INPUTS, OUTPUTS)];
    const common = { ...stored, label: 'image', transposition: 'nt', perImage: true, passOffset: FORWARD } as const;
    recordApproximateGemm(recorder, { ...common, a: identity(INPUTS), c: product });
    recordApproximateGemm(recorder, { ...common, a: zeros(INPUTS, INPUTS), bias: BIAS.tensor, c: onlyBias });
    const firstImage = 1000;
    await run(firstImage);
    const images = Array.from({ length: INPUTS }, (_, row) => firstImage + row);
    const w = images.map((image) => weights(FORWARD, image));
    const b = images.map((image) => biases(image));
    expect(bits(await read(product))).toEqual(
      bits(table(INPUTS, OUTPUTS, (row, column) => w[row][column * INPUTS + row])),
    );
    expect(bits(await read(onlyBias))).toEqual(bits(table(INPUTS, OUTPUTS, (row, column) => b[row][column])));
  });

  it('backward: the identity shows every image one row of its own weights, of the backward read', async () => {
    const { recorder } = newBench();
    const { weights, biases: _biases, ...stored } = memory(2);
    const c = bench.output(OUTPUTS, INPUTS);
    const common = { ...stored, label: 'image', transposition: 'nn', perImage: true, passOffset: BACKWARD } as const;
    recordApproximateGemm(recorder, { ...common, a: identity(OUTPUTS), c });
    await run(7);
    const w = Array.from({ length: OUTPUTS }, (_, row) => weights(BACKWARD, 7 + row));
    expect(bits(await read(c))).toEqual(bits(table(OUTPUTS, INPUTS, (row, column) => w[row][row * INPUTS + column])));
  });

  it('a batch agrees with the reference image by image, and its bits do not depend on where batches are cut', async () => {
    const batch = 11;
    const x = randomValues(batch * INPUTS, 5);
    const dz = randomValues(batch * OUTPUTS, 6);
    const activation = 'tanh';
    const product = async (first: number, rows: number) => {
      const { recorder } = newBench();
      const { weights: _weights, biases: _biases, ...stored } = memory(2);
      const common = { ...stored, label: 'image', perImage: true, passOffset: 0 };
      const part = (values: Float32Array, columns: number) =>
        values.subarray(first * columns, (first + rows) * columns);
      const a = bench.matrix(rows, INPUTS, part(x, INPUTS));
      const [forward, backward] = [bench.output(rows, OUTPUTS), bench.output(rows, INPUTS)];
      recordApproximateGemm(recorder, { ...common, transposition: 'nt', a, bias: BIAS.tensor, c: forward, activation });
      const gradient = bench.matrix(rows, OUTPUTS, part(dz, OUTPUTS));
      recordApproximateGemm(recorder, { ...common, transposition: 'nn', a: gradient, c: backward });
      await run(100 + first);
      const values = [await read(forward), await read(backward)] as const;
      bench.arena.destroy();
      return values;
    };
    const [forward, backward] = await product(0, batch);
    const [headForward, headBackward] = await product(0, 4);
    const [tailForward, tailBackward] = await product(4, batch - 4);
    expect(bits(Float32Array.of(...headForward, ...tailForward))).toEqual(bits(forward));
    expect(bits(Float32Array.of(...headBackward, ...tailBackward))).toEqual(bits(backward));

    newBench();
    const { weights, biases } = memory(2);
    for (let row = 0; row < batch; row++) {
      const row1 = { m: 1, n: OUTPUTS, k: INPUTS };
      const w = weights(0, 100 + row);
      const y = gemm({ transposition: 'nt', ...row1 }, x.subarray(row * INPUTS), w, biases(100 + row), activation);
      expectAllclose(forward.subarray(row * OUTPUTS, (row + 1) * OUTPUTS), y, sumTolerance(INPUTS), `image ${row}`);
      const dx = gemm({ transposition: 'nn', m: 1, n: INPUTS, k: OUTPUTS }, dz.subarray(row * OUTPUTS), w);
      expectAllclose(backward.subarray(row * INPUTS, (row + 1) * INPUTS), dx, sumTolerance(OUTPUTS), `image ${row}`);
    }
  });
});

describe('the product that is corrected image by image', () => {
  // Two stretches of 512 codes per row, the second one short; several faults each, and codes with more than one flipped bit.
  const [inputs, outputs, stride] = [700, 9, 704];
  const place = { map: 1, origin: 3, rows: outputs, columns: inputs, stride };
  const biasPlace = { map: 0, origin: 3 + (12 * stride) / 16, rows: 1, columns: outputs, stride: 16 };
  const [rate, firstImage] = [0.02, 1000];

  /** The memory on the device, with its weights decoded without errors, and the reference of a read of one image. */
  function stored(bits: number) {
    const weight = testTensor(place, bits, 1 - bits, 3);
    const bias = testTensor(biasPlace, bits, 1 - bits, 4);
    const format = { bits, exponent: 1 - bits, rate, read: READ, granularity: 2 as const };
    const faultTable = bench.buffer(
      faultTableWords([
        { key: KEYS.bias, ...format },
        { key: KEYS.weight, ...format },
      ]),
    );
    const codes = memoryImage(bench, [weight, bias], 600);
    const matrix = bench.arena.matrix('error-free weights', 12, inputs);
    device.gpu.write(matrix, Float32Array.from(weight.fetch([0, 0], 0)));
    const codec = fixedCodec(bits, 1 - bits, 'corrected');
    const image = { words: weight.words, rows: outputs, columns: inputs, stride, codec };
    const read = (index: number, passOffset: number) => {
      const key = readKey(KEYS.weight, READ + PASS + passOffset, index);
      const values = new Float32Array(fetchTensorBySparseFaults(image, key, { bits, rate }).buffer);
      return values.filter((_, i) => i % stride < inputs);
    };
    return {
      args: {
        label: 'sparse faults',
        weight: weight.tensor,
        codes,
        faultTable,
        errorFree: { ...matrix, rows: outputs },
      },
      bias: bias.tensor,
      weights: read,
      biases: (index: number) => bias.fetch(readKey(KEYS.bias, READ + PASS, index), rate).subarray(0, outputs),
    };
  }

  it.each([12, 8, 4])(
    'a corrected product gives every image the weights that its reference reads, %i bits',
    async (codeBits) => {
      const { recorder, arena } = newBench();
      const { args, bias, weights, biases } = stored(codeBits);
      // Every image sees one column of the weights; 511 and 512 lie on both sides of the border of stretches.
      const seen = [0, 101, 202, 511, 512, 606, 699];
      const unit = table(seen.length, inputs, (row, column) => Number(column === seen[row]));
      const forward = bench.output(seen.length, outputs);
      const a = bench.matrix(seen.length, inputs, unit);
      recordPerImageGemm(recorder, arena, { ...args, transposition: 'nt', a, bias, c: forward, passOffset: FORWARD });
      const gradient = bench.output(outputs, inputs);
      const dz = identity(outputs);
      recordPerImageGemm(recorder, arena, { ...args, transposition: 'nn', a: dz, c: gradient, passOffset: BACKWARD });
      await run(firstImage);
      // Weights, biases and changes are multiples of one unit, so f32 adds them exactly.
      const expected = table(seen.length, outputs, (row, column) => {
        const image = firstImage + row;
        return weights(image, FORWARD)[column * inputs + seen[row]] + biases(image)[column];
      });
      expect(bits(await read(forward))).toEqual(bits(expected));
      const rows = Array.from({ length: outputs }, (_, row) => weights(firstImage + row, BACKWARD));
      const back = table(outputs, inputs, (row, column) => rows[row][row * inputs + column]);
      expect(bits(await read(gradient))).toEqual(bits(back));
    },
  );

  it('a corrected product is exact if flips of an exponent are huge', async () => {
    // bfloat16 at a rate at which codes with two flipped exponent bits occur: the huge change by one of the flips must not be
    // added and subtracted again.
    const { recorder, arena } = newBench();
    const [rows, columns] = [4, 1024];
    const memory = uniformMemory({ kind: 'bf16', nonFinite: 'zero' }, 0.03);
    const sources = faultSources(memory, 0);
    const codec = floatCodec('bf16', 'zero');
    const values = randomValues(rows * columns, 3);
    const image = {
      words: packCodes(
        Array.from(values, (value) => codec.encode(value, 0)),
        16,
      ),
      rows,
      columns,
      stride: columns,
      codec,
    };
    const words = new Uint32Array(FAULT_ENTRY_WORDS);
    writeDraw(words, 0, { key: KEYS.weight, device: [0, 0], load: 0, read: READ });
    writeScale(words, 0, { granularity: 'inference', scale: 1, inverse: 1, bits: 16 });
    const shape = { rows, columns, stride: columns };
    const faults = { sources, storageBits: 16, ecc: undefined, geometry: GEOMETRY, granularity: 'inference' } as const;
    writeFaults(words, 0, faultWords(faults), shape);
    const decoded = Float32Array.from(values, (value) => floatOfBits(codec.decode(codec.encode(value, 0), 0)));
    const errorFree = { ...bench.matrix(rows, columns, decoded), rows };
    const c = bench.output(columns, rows);
    recordPerImageGemm(recorder, arena, {
      label: 'sparse faults',
      transposition: 'nt',
      a: identity(columns),
      codes: bench.buffer(image.words),
      faultTable: bench.buffer(words),
      weight: { map: 0, origin: 0, ...shape, fetch: fetchOf(memory, sources) },
      errorFree,
      c,
      passOffset: FORWARD,
    });
    await run(0);
    const y = await read(c);
    let huge = 0;
    for (let column = 0; column < columns; column++) {
      const key = readKey(KEYS.weight, READ + PASS, column);
      const fetched = new Float32Array(fetchTensorBySparseFaults(image, key, { bits: 16, rate: 0.03 }).buffer);
      for (let row = 0; row < rows; row++) {
        const [weight, exact] = [fetched[row * columns + column], decoded[row * columns + column]];
        if (Math.abs(weight) > 1e10) huge++;
        // The kernel adds the error-free weight and its change.
        expect(y[column * rows + row]).toBe(Math.fround(exact + Math.fround(weight - exact)) + 0);
      }
    }
    expect(huge).toBeGreaterThan(10);
  });

  it('a corrected product agrees with its reference, and its bits do not depend on where batches are cut', async () => {
    const batch = 21;
    const x = randomValues(batch * inputs, 5);
    const product = async (first: number, rows: number) => {
      const { recorder, arena } = newBench();
      const { args, bias } = stored(12);
      const a = bench.matrix(rows, inputs, x.subarray(first * inputs, (first + rows) * inputs));
      const c = bench.output(rows, outputs);
      const rest = { a, bias, c, activation: 'tanh', passOffset: FORWARD } as const;
      recordPerImageGemm(recorder, arena, { ...args, ...rest, transposition: 'nt' });
      await run(firstImage + first);
      const values = await read(c);
      bench.arena.destroy();
      return values;
    };
    const whole = await product(0, batch);
    expect(bits(Float32Array.of(...(await product(0, 17)), ...(await product(17, 4))))).toEqual(bits(whole));
    newBench();
    const { weights, biases } = stored(12);
    for (let row = 0; row < batch; row++) {
      const image = firstImage + row;
      const shape = { transposition: 'nt', m: 1, n: outputs, k: inputs } as const;
      const y = gemm(shape, x.subarray(row * inputs), weights(image, FORWARD), biases(image), 'tanh');
      expectAllclose(whole.subarray(row * outputs, (row + 1) * outputs), y, sumTolerance(inputs), `image ${row}`);
    }
  });
});
