import { expect, it } from 'vitest';
import { recordNoise } from '../../src/kernels/memory.ts';
import { readKey, tensorKey } from '../../src/memory/fault_sampler.ts';
import { noiseTensor } from '../../src/memory/noise.ts';
import { expectAllclose } from '../support/allclose.ts';
import { Bench, randomValues, readMatrix, useGpu } from '../support/gpu.ts';
import { faultTableWords } from '../support/memory.ts';
import { moments } from '../support/statistics.ts';

const device = useGpu();
const [ROWS, COLUMNS, SCALE, READ, PASS] = [256, 250, 0.3, 9, 4];
const COUNT = ROWS * COLUMNS;

// Even moments at scale 1, as in noise.test.ts.
it.each([
  ['gaussian', 1, 3, 105],
  ['laplacian', 2, 24, 40320],
] as const)('%s noise on the device equals its reference and has its moments', async (kind, second, fourth, eighth) => {
  const bench = new Bench(device.gpu);
  const key = tensorKey(11, 0, 2);
  const faultTable = bench.buffer(
    faultTableWords([{ key: [0, 0] }, { key, read: READ, granularity: 1, scale: SCALE }]),
  );
  const weights = randomValues(COUNT, 1);
  const source = bench.matrix(ROWS, COLUMNS, weights);
  const fetched = bench.output(ROWS, COLUMNS);
  const tensor = { map: 1, rows: ROWS, columns: COLUMNS, stride: source.stride };
  recordNoise(bench.recorder, { tensor, kind, weights: source, faultTable, fetched, passOffset: 1 });
  const program = await bench.recorder.build('noise');
  program.setStep({ passIndex: PASS });
  program.run();
  // readMatrix insists on zero pads.
  const noisy = await readMatrix(device.gpu, fetched);
  const padded = await device.gpu.readFloats(source);
  bench.arena.destroy();

  const reference = noiseTensor(padded, COLUMNS, source.stride, readKey(key, READ + PASS + 1), kind, SCALE);
  const expected = reference.filter((_, i) => i % source.stride < COLUMNS);
  // Logarithm, sine and cosine are the shader's own, good to about 1e-6; the logarithm is at most 16.7.
  expectAllclose(noisy, expected, { absolute: SCALE * 1e-5, relative: 1e-6 }, kind);

  const unit = noisy.map((value, i) => (value - weights[i]) / SCALE);
  const { mean, variance, kurtosis } = moments(unit);
  expect(Math.abs(mean) / Math.sqrt(second / COUNT)).toBeLessThan(4);
  expect(Math.abs(variance - second) / Math.sqrt((fourth - second ** 2) / COUNT)).toBeLessThan(4);
  const measuredFourth = kurtosis * variance ** 2;
  expect(Math.abs(measuredFourth - fourth) / Math.sqrt((eighth - fourth ** 2) / COUNT)).toBeLessThan(4);
});
