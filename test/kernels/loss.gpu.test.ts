import { describe, expect, it } from 'vitest';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import {
  type ConfidenceCost,
  recordAccumulateMetrics,
  recordConfidenceCost,
  recordMse,
  recordSoftmaxCrossEntropy,
} from '../../src/kernels/loss.ts';
import { recordRoundConfidences } from '../../src/kernels/release.ts';
import { accumulateMetrics, confidenceCost, mse, softmaxCrossEntropy } from '../../src/reference/loss.ts';
import { roundConfidences } from '../../src/reference/release.ts';
import { sumTolerance, TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';
import { SHAPES } from '../support/shapes.ts';

const device = useGpu();
const { exact } = TOLERANCES;

/** One class per row, first and last ones among them. */
const classes = (rows: number, columns: number) =>
  Uint32Array.from({ length: rows }, (_, r) => (r === 0 ? columns - 1 : (r * 7 + 3) % columns));

it('softmax cross-entropy agrees with its reference', async () => {
  await checkKernel(device.gpu, (bench) =>
    SHAPES.flatMap(([rows, columns], i): Output[] => {
      const x = randomValues(rows * columns, i, 6);
      const targets = classes(rows, columns);
      // Every second row is classified correctly.
      for (let r = 0; r < rows; r += 2) x[r * columns + targets[r]] = 7;
      const gradLogits = bench.output(rows, columns);
      const results = bench.arena.allocate('results', rows * 8);
      recordSoftmaxCrossEntropy(bench.recorder, {
        logits: bench.matrix(rows, columns, x),
        targets: bench.buffer(targets),
        gradLogits,
        results,
      });
      const expected = softmaxCrossEntropy(x, targets, columns);
      const name = `cross-entropy ${rows} x ${columns}`;
      return [
        { name, view: results, expected: expected.results, tolerance: TOLERANCES.cross_entropy },
        {
          name: `${name} gradient`,
          view: gradLogits,
          expected: expected.gradient,
          tolerance: TOLERANCES.crossEntropyGradient,
        },
      ];
    }),
  );
});

it('softmax cross-entropy with smoothed labels agrees with its reference', async () => {
  const cases = [0.3, -0.5, -1, 1].flatMap((smoothing) =>
    [
      [1, 3],
      [5, 40],
    ].map(([rows, columns]) => ({ smoothing, rows, columns })),
  );
  await checkKernel(device.gpu, (bench) =>
    cases.flatMap(({ smoothing, rows, columns }, i): Output[] => {
      const x = randomValues(rows * columns, i, 6);
      const targets = classes(rows, columns);
      const [gradLogits, results] = [bench.output(rows, columns), bench.arena.allocate('results', rows * 8)];
      const [logits, labels] = [bench.matrix(rows, columns, x), bench.buffer(targets)];
      recordSoftmaxCrossEntropy(bench.recorder, { logits, targets: labels, smoothing, gradLogits, results });
      const expected = softmaxCrossEntropy(x, targets, columns, smoothing);
      const name = `${rows} x ${columns} smoothed by ${smoothing}`;
      return [
        { name, view: results, expected: expected.results, tolerance: TOLERANCES.cross_entropy },
        {
          name: `${name}, gradient`,
          view: gradLogits,
          expected: expected.gradient,
          tolerance: TOLERANCES.crossEntropyGradient,
        },
      ];
    }),
  );
});

it('the float64 gradient of smoothed labels is the slope of their loss', () => {
  const x = Float64Array.from(randomValues(12, 1, 3));
  const targets = Uint32Array.of(1, 5);
  for (const smoothing of [0.3, -0.5]) {
    const loss = (values: Float64Array) => {
      const { results } = softmaxCrossEntropy(values, targets, 6, smoothing);
      return (results[0] + results[2]) / 2;
    };
    const { gradient } = softmaxCrossEntropy(x, targets, 6, smoothing);
    for (const i of x.keys()) {
      const [up, down] = [1e-5, -1e-5].map((step) => loss(x.map((value, j) => (j === i ? value + step : value))));
      expect(Math.abs((up - down) / 2e-5 - gradient[i])).toBeLessThan(1e-8);
    }
  }
});

it('a smoothing beyond -1..1 is refused', () => {
  const bench = new Bench(device.gpu);
  const [logits, gradLogits] = [bench.output(1, 3), bench.output(1, 3)];
  const [targets, results] = [bench.buffer(Uint32Array.of(0)), bench.buffer(new Float32Array(4))];
  for (const smoothing of [1.01, -1.01, Number.NaN]) {
    const args = { logits, targets, smoothing, gradLogits, results };
    expect(() => recordSoftmaxCrossEntropy(bench.recorder, args)).toThrow(ConfigError);
  }
  bench.arena.destroy();
});

it('a row counts as correct only if the target is the first of the largest finite logits', async () => {
  const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
  const rows = [
    [1, 2, 2, 0, 1], // tie, target first
    [1, 2, 2, 0, 1], // tie, target second
    [0, 0, 0, 0, 0],
    [-5, -4, -3, -2, -1],
    [1, nan, 9, 0, 0],
    [1, 2, nan, 0, 0],
    [1, 2, infinity, 0, 0],
    [-infinity, 2, 3, 0, 0],
  ];
  const targets = Uint32Array.of(1, 2, 0, 4, 2, 2, 2, 2);
  const bench = new Bench(device.gpu);
  const results = bench.buffer(new Float32Array(16));
  const logits = bench.matrix(8, 5, rows.flat());
  recordSoftmaxCrossEntropy(bench.recorder, {
    logits,
    targets: bench.buffer(targets),
    gradLogits: bench.output(8, 5),
    results,
  });
  (await bench.recorder.build('cross-entropy')).run();
  const values = await device.gpu.readFloats(results);
  expect(Array.from(targets, (_, r) => values[2 * r + 1])).toEqual([1, 0, 1, 1, 0, 0, 0, 0]);
  expect(Number.isFinite(values[8])).toBe(false);
  bench.arena.destroy();
});

describe.each<ConfidenceCost>(['oneMinusConfidence', 'negativeLogConfidence'])('confidence cost %s', (cost) => {
  it('the kernel agrees with its reference', async () => {
    await checkKernel(device.gpu, (bench) =>
      SHAPES.flatMap(([rows, columns], i): Output[] => {
        const x = randomValues(rows * columns, i, 3);
        const targets = classes(rows, columns);
        const gradLogits = bench.output(rows, columns);
        const results = bench.arena.allocate('results', rows * 8);
        recordConfidenceCost(bench.recorder, {
          cost,
          logits: bench.matrix(rows, columns, x),
          targets: bench.buffer(targets),
          gradLogits,
          results,
        });
        const expected = confidenceCost(cost, x, targets, columns);
        const name = `${cost} ${rows} x ${columns}`;
        const tolerance = TOLERANCES.confidenceCost;
        return [
          { name, view: results, expected: expected.results, tolerance },
          { name: `${name} gradient`, view: gradLogits, expected: expected.gradient, tolerance },
        ];
      }),
    );
  });

  it('the confidence cost handles a confidence that underflows to 0', async () => {
    const x = Float32Array.of(10, 0, -300, 0, 10, 0);
    const targets = Uint32Array.of(2, 2);
    await checkKernel(device.gpu, (bench) => {
      const gradLogits = bench.output(2, 3);
      const results = bench.arena.allocate('results', 16);
      recordConfidenceCost(bench.recorder, {
        cost,
        logits: bench.matrix(2, 3, x),
        targets: bench.buffer(targets),
        gradLogits,
        results,
      });
      const expected = confidenceCost(cost, x, targets, 3);
      const tolerance = TOLERANCES.confidenceCost;
      return [
        { name: 'cost', view: results, expected: expected.results, tolerance },
        { name: 'gradient', view: gradLogits, expected: expected.gradient, tolerance },
      ];
    });
  });
});

describe.each([0, 1, 3])('rounding of confidences to %s decimals', (decimals) => {
  it('the kernel agrees with its reference', async () => {
    await checkKernel(device.gpu, (bench) =>
      [
        [1, 3],
        [5, 7],
        [4, 40],
      ].flatMap(([rows, columns], i): Output[] => {
        const x = farFromTies(randomValues(rows * columns, i, 3), columns, decimals);
        const released = bench.output(rows, columns);
        recordRoundConfidences(bench.recorder, { logits: bench.matrix(rows, columns, x), decimals, released });
        const expected = roundConfidences(x, columns, decimals);
        return [{ name: `${rows} x ${columns}`, view: released, expected, tolerance: TOLERANCES.roundConfidences }];
      }),
    );
  });
});

/** Scales logits until no confidence lies halfway between two levels, where f32 and f64 may round differently. */
function farFromTies(x: Float32Array, columns: number, decimals: number): Float32Array {
  const levels = 10 ** decimals;
  const fits = (values: Float32Array) => {
    for (let first = 0; first < values.length; first += columns) {
      const row = values.subarray(first, first + columns);
      const largest = Math.max(...row);
      const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
      for (const value of row) {
        const scaled = (Math.exp(value - largest) / sum) * levels;
        if (Math.abs(scaled - Math.floor(scaled) - 0.5) < 1e-6 * levels) return false;
      }
    }
    return true;
  };
  for (let attempt = 0; attempt < 1000; attempt++) {
    const scaled = x.map((value) => value * (1 + attempt / 1000));
    if (fits(scaled)) return scaled;
  }
  throw new Error('no logits without ties were found');
}

it('a confidence that rounds to 0 counts as half a level, and one that rounds to 1 as certain', async () => {
  const bench = new Bench(device.gpu);
  const released = bench.output(1, 3);
  recordRoundConfidences(bench.recorder, {
    logits: bench.matrix(1, 3, Float32Array.of(20, 0, -5)),
    decimals: 1,
    released,
  });
  (await bench.recorder.build('round')).run();
  const values = await device.gpu.readFloats(released);
  expect(values[0]).toBe(0);
  expect(values[1]).toBeCloseTo(Math.log(0.05), 5);
  expect(values[2]).toBeCloseTo(Math.log(0.05), 5);
  bench.arena.destroy();
});

it('rounding confidences to 7 decimals is refused', () => {
  const bench = new Bench(device.gpu);
  const [logits, released] = [bench.output(1, 3), bench.output(1, 3)];
  expect(() => recordRoundConfidences(bench.recorder, { logits, decimals: 7, released })).toThrow(ConfigError);
  bench.arena.destroy();
});

it('mean squared error agrees with its reference', async () => {
  await checkKernel(device.gpu, (bench) =>
    SHAPES.flatMap(([rows, columns], i): Output[] => {
      const x = randomValues(rows * columns, i);
      const target = randomValues(rows * columns, i + 100);
      const gradOutput = bench.output(rows, columns);
      const results = bench.arena.allocate('results', rows * 8);
      recordMse(bench.recorder, {
        output: bench.matrix(rows, columns, x),
        target: bench.matrix(rows, columns, target),
        gradOutput,
        results,
      });
      const expected = mse(x, target, columns);
      const name = `mse ${rows} x ${columns}`;
      return [
        { name, view: results, expected: expected.results, tolerance: TOLERANCES.mse },
        { name: `${name} gradient`, view: gradOutput, expected: expected.gradient, tolerance: TOLERANCES.mseGradient },
      ];
    }),
  );
});

it('metrics of several batches are added', async () => {
  await checkKernel(device.gpu, (bench) => {
    const metrics = bench.buffer(Float32Array.of(0.5, 3, 40, 0));
    const results = [1, 5, 128].map((rows, i) =>
      randomValues(rows * 2, i).map((value, j) => (j % 2 ? Number(value > 0) : value + 1)),
    );
    let expected = Float64Array.of(0.5, 3, 40, 0);
    for (const batch of results) {
      recordAccumulateMetrics(bench.recorder, { rows: batch.length / 2, results: bench.buffer(batch), metrics });
      expected = accumulateMetrics(expected, batch) as Float64Array<ArrayBuffer>;
    }
    return [{ name: 'metrics', view: metrics, expected, tolerance: sumTolerance(134) }];
  });
});

it('metrics of groups of rows have separate totals', async () => {
  await checkKernel(device.gpu, (bench) => {
    const before = [
      [0.5, 3, 40, 0],
      [1.5, 7, 40, 0],
      [0, 0, 0, 0],
    ];
    const rows = 7;
    const results = randomValues(before.length * rows * 2, 1);
    const metrics = bench.buffer(Float32Array.from(before.flat()));
    const groups = before.length;
    recordAccumulateMetrics(bench.recorder, { rows, groups, results: bench.buffer(results), metrics });
    const expected = before.flatMap((each, i) => [
      ...accumulateMetrics(each, results.slice(i * rows * 2, (i + 1) * rows * 2)),
    ]);
    return [{ name: 'metrics', view: metrics, expected, tolerance: sumTolerance(rows) }];
  });
});

it('metrics count whole rows exactly', async () => {
  await checkKernel(device.gpu, (bench) => {
    const metrics = bench.buffer(new Float32Array(4));
    recordAccumulateMetrics(bench.recorder, {
      rows: 300,
      results: bench.buffer(new Float32Array(600).fill(1)),
      metrics,
    });
    return [{ name: 'metrics', view: metrics, expected: [300, 300, 300, 0], tolerance: exact }];
  });
});

it('an error names the buffer that is too small', () => {
  const bench = new Bench(device.gpu);
  const [logits, gradLogits] = [bench.output(9, 3), bench.output(9, 3)];
  const small = bench.buffer(new Float32Array(4));
  const args = { logits, targets: small, gradLogits, results: small };
  expect(() => recordSoftmaxCrossEntropy(bench.recorder, args)).toThrow(ShapeError);
  expect(() => recordSoftmaxCrossEntropy(bench.recorder, args)).toThrow(/targets has 16 bytes, 36 are needed/);
  bench.arena.destroy();
});
