import { afterEach, describe, expect, it } from 'vitest';
import { Recorder } from '../../src/gpu/recorder.ts';
import { recordEncode, recordMaterialise } from '../../src/kernels/memory.ts';
import { codeAt, packCodes, storageBitsOf } from '../../src/memory/codec.ts';
import { readKey, tensorKey } from '../../src/memory/fault_sampler.ts';
import { decodeFixed, encodeFixed } from '../../src/memory/fixed_point.ts';
import { pcg4d } from '../../src/memory/hash.ts';
import { Bench, randomValues, useGpu } from '../support/gpu.ts';
import { type FaultEntry, faultTableWords, fixedFetch, memoryImage, testTensor } from '../support/memory.ts';
import { runShader } from '../support/shader.ts';

const device = useGpu();
let bench: Bench;
const newBench = () => {
  bench = new Bench(device.gpu);
  return bench;
};
afterEach(() => bench?.arena.destroy());

/** Index of the first word that differs; -1 for none. Vitest's own comparison of long arrays is slow. */
function firstDifference(actual: Uint32Array, expected: Uint32Array): number {
  if (actual.length !== expected.length) return Math.min(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) if (actual[i] !== expected[i]) return i;
  return -1;
}

const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);

it('the hash has the same bits as its reference over four million words', async () => {
  const { gpu } = newBench();
  const count = 2 ** 20;
  const view = bench.arena.allocate('hashes', count * 16);
  await runShader(
    gpu,
    `// Four words of hash per invocation, for counters that differ on all four axes.
#include "common/hash.wgsl"
@group(0) @binding(0) var<storage, read_write> out: array<vec4u>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  out[i] = pcg4d(vec4u(i, i * 0x9e3779b9u, ~i, (i << 13u) ^ 5u));
}`,
    [['write', view]],
    count / 64,
  );
  const words = await gpu.readWords(view);
  const expected = new Uint32Array(4 * count);
  const out = new Uint32Array(4);
  for (let i = 0; i < count; i++) {
    pcg4d(i, Math.imul(i, 0x9e3779b9), ~i, (i << 13) ^ 5, out);
    expected.set(out, 4 * i);
  }
  expect(firstDifference(words, expected)).toBe(-1);
});

describe('encoding on the device', () => {
  const [rows, columns] = [9, 61];
  const stride = 64;
  /** Every number of bits, with exponents for which halves, saturation and wrapping all occur. */
  const FORMATS = Array.from({ length: 15 }, (_, i) => ({ bits: i + 2, exponent: [-(i + 1), -3, -14 + i][i % 3] }));

  /** Edge cases (zeros, tiny and huge values, powers of two and neighbours, halves), then random weights of many sizes. */
  function weightsFor(bits: number, exponent: number, faithful: boolean): Float32Array {
    const weights = randomValues(rows * columns, bits, 1).map((value, i) => value * 2 ** ((i % 12) - 8));
    const unit = 2 ** exponent;
    const range = 2 ** (bits - 1);
    const edges = [0, -0, 2 ** -126, 1e-30, unit, 2 * unit, 0.5 * unit, 1.5 * unit, 2.5 * unit, 0.4999999 * unit];
    for (const at of [
      range - 1,
      range - 0.5,
      range,
      range + 1,
      1.5 * range,
      2 * range,
      2 * range + 1,
      4096.5 * range,
    ]) {
      edges.push(at * unit, at * unit * (1 - 2 ** -24), at * unit * (1 + 2 ** -23));
    }
    for (let e = -20; e <= 20; e += 2) edges.push(2 ** e);
    // Divided by the unit, the largest weights must stay below 2^128; a format with a smaller unit would be of no use.
    edges.push(faithful ? 1e20 : 3.4028234663852886e38, 12345678 * unit);
    weights.set(edges);
    weights.set(
      edges.map((value) => -value),
      edges.length,
    );
    return weights;
  }

  it.each([false, true])('encoding gives the codes of its reference, 2 to 16 bits, faithful %s', async (faithful) => {
    const { gpu } = newBench();
    const faultTable = bench.arena.allocate('fault table', faultTableWords([{ key: [0, 0] }]).byteLength);
    const matrix = bench.output(rows, columns);
    // The kernel must not write to the four blocks before the image nor to those behind it.
    const blocks = (rows * stride) / 16;
    const codes = bench.buffer(new Uint32Array((blocks + 8) * 8));
    const programs = await Promise.all(
      [4, 8, 16].map((bits) => {
        const recorder = new Recorder(gpu);
        const tensor = { map: 0, origin: 4, rows, columns, stride, fetch: fixedFetch(bits, faithful) };
        recordEncode(recorder, { tensor, weights: matrix, faultTable, codes });
        return recorder.build('encode');
      }),
    );
    for (const { bits, exponent } of FORMATS) {
      const weights = weightsFor(bits, exponent, faithful);
      const padded = new Float32Array(rows * stride);
      for (let i = 0; i < weights.length; i++) padded[Math.floor(i / columns) * stride + (i % columns)] = weights[i];
      gpu.write(matrix, padded);
      gpu.write(faultTable, faultTableWords([{ key: [0, 0], bits, exponent }]));
      gpu.write(codes, new Uint32Array((blocks + 8) * 8).fill(0xdeadbeef));
      const storageBits = storageBitsOf(bits);
      programs[Math.log2(storageBits) - 2].run();
      const words = await gpu.readWords(codes);
      const encoding = faithful ? 'faithful' : 'corrected';
      const expected = new Uint32Array((blocks + 8) * 8).fill(0xdeadbeef);
      const referenceCodes = Array.from(padded, (weight) => encodeFixed(weight, bits, exponent, encoding));
      expected.set(packCodes(referenceCodes, storageBits), 4 * (storageBits / 2));
      const at = firstDifference(words, expected);
      const first = (at - 4 * (storageBits / 2)) * (32 / storageBits);
      const some = padded.subarray(first, first + 32 / storageBits);
      expect(at, `${bits} bits, exponent ${exponent}: one of the weights ${some}`).toBe(-1);
    }
  });
});

describe('the materialised read', () => {
  // 1024 rows of 256 codes: 262144 words per read.
  const [rows, columns, stride] = [1024, 250, 256];
  const BLOCKS = (rows * stride) / 16;
  const ORIGIN = 3;
  const PLACE = { map: 1, origin: ORIGIN, rows, columns, stride };
  const UNUSED: FaultEntry = { key: [1, 2] };

  /** A function that reads through one program per storage width, for every exponent, rate and key, as in a sweep. */
  async function reader() {
    const { gpu } = newBench();
    const faultTable = bench.arena.allocate('fault table', faultTableWords([UNUSED, UNUSED]).byteLength);
    const codes = bench.arena.allocate('memory image', (BLOCKS + ORIGIN) * 32);
    const fetched = bench.arena.allocate('fetched', rows * stride * 4);
    const programs = await Promise.all(
      [4, 8, 16].map((bits) => {
        const recorder = new Recorder(gpu);
        const tensor = { ...PLACE, fetch: fixedFetch(bits) };
        recordMaterialise(recorder, { tensor, codes, faultTable, fetched, passOffset: 1 });
        return recorder.build('materialise');
      }),
    );
    return async (image: Uint32Array, row: FaultEntry, pass = 0) => {
      const whole = new Uint32Array((BLOCKS + ORIGIN) * 8);
      const storageBits = storageBitsOf(row.bits ?? 12);
      whole.set(image, (ORIGIN * storageBits) / 2);
      gpu.write(codes, whole);
      gpu.write(faultTable, faultTableWords([UNUSED, row]));
      gpu.write(fetched, new Uint32Array(rows * stride).fill(0x7fc00000));
      const program = programs[Math.log2(storageBits) - 2];
      program.setStep({ passIndex: pass });
      program.run();
      return gpu.readWords(fetched);
    };
  }

  it('the materialised read has the same bits as its reference over three million words, for all rates and formats', async () => {
    const read = await reader();
    const cases = [
      ...[0, 2 ** -32, 2 ** -12, 0.01, 0.3, 0.5, 0.9, 1].map((rate) => [12, rate] as const),
      ...([
        [2, 0.5],
        [3, 0.02],
        [7, 0.03],
        [16, 0.01],
        [16, 0.25],
      ] as const),
    ];
    let words = 0;
    for (const [i, [bits, rate]] of cases.entries()) {
      const key = tensorKey(2 ** 40 + i, i, 3);
      const { words: image, fetch } = testTensor(PLACE, bits, i - 14, i);
      const fetched = await read(image, { key, read: 10 * i, bits, rate, exponent: i - 14 });
      const expected = bitsOf(fetch(readKey(key, 10 * i), rate));
      expect(firstDifference(fetched, expected), `${bits} bits at rate ${rate}`).toBe(-1);
      // Rate 0 is the quantised weights exactly, rate 1 their complement.
      if (rate === 0 || rate === 1) {
        const flip = rate * (2 ** bits - 1);
        const values = Float32Array.from({ length: rows * stride }, (_, at) => {
          const code = codeAt(image, at, storageBitsOf(bits));
          return at % stride < columns ? decodeFixed(code ^ flip, bits, i - 14) : 0;
        });
        expect(firstDifference(fetched, bitsOf(values))).toBe(-1);
      }
      words += fetched.length;
    }
    expect(words).toBeGreaterThan(3e6);
  });

  it('a pass advances the read only if faults are drawn per pass, and counts from its offset', async () => {
    const read = await reader();
    const { words: image, fetch } = testTensor(PLACE, 12, -10, 8);
    const key = tensorKey(9, 1, 2);
    const row: FaultEntry = { key, read: 5, bits: 12, exponent: -10, rate: 0.1 };
    const expected = (number: number) => bitsOf(fetch(readKey(key, number), 0.1));
    expect(firstDifference(await read(image, row, 12), expected(5))).toBe(-1);
    expect(firstDifference(await read(image, { ...row, granularity: 1 }, 12), expected(5 + 12 + 1))).toBe(-1);
    // At granularity inference the materialised read is that of image 0.
    const ofImage = bitsOf(fetch(readKey(key, 5 + 12 + 1, 0), 0.1));
    expect(firstDifference(await read(image, { ...row, granularity: 2 }, 12), ofImage)).toBe(-1);
  });

  it('each tensor of a memory image is read from its own place with its own faults', async () => {
    const { gpu, recorder } = newBench();
    const tensors = [
      testTensor({ map: 0, origin: 0, rows: 3, columns: 20, stride: 32 }, 12, -9, 1),
      testTensor({ map: 2, origin: 12, rows: 1, columns: 16, stride: 16 }, 5, -3, 2),
      testTensor({ map: 1, origin: 9, rows: 2, columns: 5, stride: 16 }, 16, -14, 3),
    ];
    const keys = [tensorKey(1, 0, 0), tensorKey(1, 0, 1), tensorKey(1, 0, 2)];
    const rates = [0.1, 1, 0.3];
    const codes = memoryImage(bench, tensors, 16);
    const rowOf = (map: number) => {
      const { bits, exponent } = tensors.find(({ tensor }) => tensor.map === map)!;
      return { key: keys[map], bits, exponent, rate: rates[map] };
    };
    const faultTable = bench.buffer(faultTableWords([0, 1, 2].map(rowOf)));
    const views = tensors.map(({ tensor }) => {
      const fetched = bench.arena.allocate('fetched', tensor.rows * tensor.stride * 4);
      recordMaterialise(recorder, { tensor, codes, faultTable, fetched, passOffset: 0 });
      return fetched;
    });
    (await recorder.build('materialise')).run();
    for (const [i, { tensor, fetch }] of tensors.entries()) {
      const expected = bitsOf(fetch(readKey(keys[tensor.map], 0), rates[tensor.map]));
      expect(firstDifference(await gpu.readWords(views[i]), expected)).toBe(-1);
    }
  });
});
