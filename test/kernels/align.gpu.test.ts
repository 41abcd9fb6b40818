import { describe, expect, it } from 'vitest';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import { CONFIDENCE_UNDERFLOW, type ConfidenceFloor, recordTruncateAlign } from '../../src/kernels/align.ts';
import { type Alignment, truncateAlign } from '../../src/reference/align.ts';
import { alignTolerance, TOLERANCES } from '../../src/reference/tolerances.ts';
import { loadFixture } from '../support/fixtures.ts';
import { Bench, checkKernel, type Output, randomValues, readMatrix, useGpu } from '../support/gpu.ts';
import { imageRows, imageRowsToWrite } from '../support/nhwc.ts';

const device = useGpu();
const FLOORS: ConfidenceFloor[] = ['direct', 'faithful'];

interface Case extends Alignment {
  readonly name: string;
  readonly rows: number;
  readonly classes: number;
  readonly x: Float32Array<ArrayBuffer>;
  /** Magnitude of the largest intermediate value, for the tolerance. */
  readonly largest: number;
}

/** Checks outputs and counts of floored entries; every second case has the narrow rows of images. */
async function check(cases: readonly Case[]): Promise<void> {
  await checkKernel(device.gpu, (bench) =>
    cases.flatMap(({ name, rows, classes, x, largest, ...alignment }, i): Output[] => {
      const output = i % 2 ? imageRowsToWrite(bench, rows, classes) : bench.output(rows, classes);
      const logits = bench.matrix(rows, classes, x);
      const floored = bench.buffer(new Uint32Array(rows).fill(77));
      recordTruncateAlign(bench.recorder, { ...alignment, logits, output, floored });
      const expected = truncateAlign(x, classes, alignment);
      return [
        { name, view: output, expected: expected.output, tolerance: alignTolerance(largest) },
        {
          name: `${name}: floored`,
          view: floored,
          expected: expected.floored,
          tolerance: TOLERANCES.exact,
          type: 'u32',
        },
      ];
    }),
  );
}

/** Numbers of kept classes: 1, 2, a third, all but one, and all. */
const truncations = (classes: number) =>
  [...new Set([1, 2, Math.ceil(classes / 3), classes - 1, classes])].filter((k) => k >= 1 && k <= classes);

/** Every truncation of every number of classes; `scale` is the size of the logits. */
function casesOf(scale: number, alignment: Partial<Alignment> = {}): Case[] {
  return [1, 3, 4, 5, 8, 17, 40, 530].flatMap((classes) =>
    truncations(classes).map((truncation): Case => {
      const rows = classes === 530 ? 3 : 5;
      const x = randomValues(rows * classes, classes + truncation, scale);
      const largest = Math.max(2 * scale + 60, 100);
      return { name: `${truncation} of ${classes}`, rows, classes, x, truncation, largest, ...alignment };
    }),
  );
}

/** Logits of rows whose first class has almost all the confidence, and whose others have the given log-confidences. */
const logitsOf = (logs: number[][]) => Float32Array.from(logs.flatMap((row) => [0, ...row]));

describe.each(FLOORS)('truncation and alignment, %s floor', (floor) => {
  it('the kernel agrees with its reference', async () => {
    await check(casesOf(3, { floor }));
  });

  it('the kernel agrees with its reference where it raises values', async () => {
    // Log-confidences down to -90, and then another offset.
    await check([...casesOf(45, { floor }), ...casesOf(3, { floor, offset: 0 })]);
  });

  it('the kernel agrees with its reference if values are equal', async () => {
    const cases = casesOf(3, { floor }).map((given) => ({ ...given, x: given.x.map(Math.round) }));
    await check(cases);
    await check(cases.map((given) => ({ ...given, x: given.x.map(() => 7) })));
  });

  it('the kernel counts the confidences that underflow in f32', async () => {
    const x = logitsOf([
      [-103.9, -104.1, -20],
      [-103, -102, -90],
      [-1e6, -998, -1001],
      [-3e38, Number.NEGATIVE_INFINITY, -5],
    ]);
    const given = { rows: 4, classes: 4, x, floor, largest: 1100 };
    await check(
      [1, 2, 3, 4].flatMap((truncation) => [
        { ...given, name: `${truncation} of 4`, truncation },
        { ...given, name: `${truncation} of 4, clipped`, truncation, clip: -40 },
        { ...given, name: `${truncation} of 4, far constant`, truncation, offset: 1100, largest: 2200 },
      ]),
    );
    const expected = truncateAlign(x, 4, { truncation: 4, floor });
    expect([...expected.floored]).toEqual([1, 0, 3, 2]);
    // One confidence of 0 lifts all others by 950.
    const first = floor === 'faithful' ? [1000, 896.1, 0, 980] : [104.1, 0.2, 0, 84.1];
    first.forEach((value, i) => {
      expect(expected.output[i]).toBeCloseTo(value, 4);
    });
  });
});

it('among equal values the lower class is kept, and -0 equals 0', async () => {
  const x = Float32Array.of(-0, 0, -0, 0, -1, 5, 5, 1, 5, 5, -7, -7, -7, -7, -7);
  await check(
    [1, 2, 3].map((truncation) => ({
      name: `${truncation} of 5`,
      rows: 3,
      classes: 5,
      x,
      truncation,
      largest: 100,
    })),
  );
  const { output } = truncateAlign(x, 5, { truncation: 2 });
  const kept = Array.from(output, (value, i) => (value === 0 ? -1 : i)).filter((i) => i >= 0);
  expect(kept).toEqual([0, 1, 5, 6, 10, 11]);
});

it('alignment finds the largest values among the closest and the farthest floats', async () => {
  const bits = Uint32Array.from({ length: 40 }, (_, i) => 0x3f800000 + ((i * 17) % 40));
  const wide = Float32Array.from({ length: 40 }, (_, i) => (i % 2 ? -1 : 1) * 10 ** (((i * 17) % 40) - 38));
  const values = [...new Float32Array(bits.buffer), ...wide];
  await check(
    [1, 7, 20, 39].map((truncation) => ({
      name: `${truncation} of 40`,
      rows: 2,
      classes: 40,
      x: Float32Array.from(values),
      truncation,
      largest: 1100,
    })),
  );
});

it('rows with a NaN or without a finite softmax stay NaN', async () => {
  const { NaN: nan, POSITIVE_INFINITY: high, NEGATIVE_INFINITY: low } = Number;
  const rows = [
    [1, nan, 3, 4, 2],
    [1, 2, high, 4, 5],
    [low, low, low, low, low],
    [1, 2, 3, 4, 5],
  ];
  const bench = new Bench(device.gpu);
  const outputs = [2, 5].map((truncation) => {
    const output = imageRowsToWrite(bench, 4, 5);
    const floored = bench.buffer(new Uint32Array(4).fill(77));
    recordTruncateAlign(bench.recorder, { logits: bench.matrix(4, 5, rows.flat()), truncation, output, floored });
    return { truncation, output, floored };
  });
  (await bench.recorder.build('align')).run();
  for (const { truncation, output, floored } of outputs) {
    const values = await readMatrix(device.gpu, output);
    for (let row = 0; row < 4; row++) {
      const part = values.subarray(row * 5, row * 5 + 5);
      expect(part.filter(Number.isNaN).length).toBe(row < 3 ? truncation : 0);
      expect(part.filter((value) => value === 0).length).toBe(5 - truncation);
    }
    expect([...(await device.gpu.readWords(floored)).subarray(0, 4)]).toEqual([0, 0, 0, 0]);
  }
  bench.arena.destroy();
});

it('the underflow threshold is where f32 rounds to 0', () => {
  expect(Math.fround(Math.exp(CONFIDENCE_UNDERFLOW - 1e-9))).toBe(0);
  expect(Math.fround(Math.exp(CONFIDENCE_UNDERFLOW + 1e-9))).toBe(2 ** -149);
});

it("alignment reproduces the golden input of the published code's inversion network", async () => {
  const fixture = loadFixture('yang');
  const { truncation, c } = fixture.description as { truncation: number; c: number };
  const [rows, classes] = fixture.tensor('classifier/logits_eval').shape;
  const expected = fixture.floats('inversion/input');
  expect([truncation, c]).toEqual([4, 50]);
  await checkKernel(device.gpu, (bench) =>
    FLOORS.map((floor): Output => {
      const output = imageRowsToWrite(bench, rows, classes);
      recordTruncateAlign(bench.recorder, {
        logits: imageRows(bench, rows, fixture.floats('classifier/logits_eval')),
        truncation,
        offset: c,
        output,
        floored: bench.arena.allocate('floored', rows * 4),
        floor,
      });
      return { name: `golden, ${floor}`, view: output, expected, tolerance: alignTolerance(50) };
    }),
  );
});

it('alignment refuses meaningless arguments', () => {
  const bench = new Bench(device.gpu);
  const record = (changed: object) => () =>
    recordTruncateAlign(bench.recorder, {
      logits: bench.output(2, 7),
      truncation: 3,
      output: bench.output(2, 7),
      floored: bench.arena.allocate('floored', 8),
      ...changed,
    });
  expect(record({})).not.toThrow();
  for (const changed of [
    { truncation: 0 },
    { truncation: 8 },
    { truncation: 1.5 },
    { clip: 1 },
    { clip: -1001 },
    { offset: Number.NaN },
  ]) {
    expect(record(changed)).toThrow(ConfigError);
  }
  expect(record({ output: bench.output(2, 8) })).toThrow(ShapeError);
  expect(record({ output: bench.output(2, 8) })).toThrow(/output is 2 x 8 but logits is 2 x 7/);
  expect(record({ floored: { ...bench.arena.allocate('floored', 8), size: 4 } })).toThrow(/floored has 4 bytes/);
  bench.arena.destroy();
});
