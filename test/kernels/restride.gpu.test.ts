import { expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { recordRestride } from '../../src/kernels/restride.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, randomValues, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();

type Shape = readonly [rows: number, columns: number];

const CASES: readonly (readonly [from: Shape, to: Shape])[] = [
  [
    [1, 1],
    [1, 1],
  ],
  [
    [2, 35],
    [70, 1],
  ],
  [
    [70, 1],
    [2, 35],
  ],
  [
    [18, 5],
    [2, 45],
  ],
  [
    [2, 45],
    [18, 5],
  ],
  [
    [6, 7],
    [14, 3],
  ],
  [
    [34, 130],
    [26, 170],
  ],
];

it('restride keeps the order of elements and writes zeros to pads', async () => {
  await checkKernel(device.gpu, (bench) =>
    CASES.flatMap(([[rows, columns], [rows2, columns2]], i) => {
      const values = randomValues(rows * columns, i);
      // Between the narrow rows of images and the wide rows of matrices, in both directions.
      const narrow = (height: number, channels: number) => bench.arena.image('narrow', 1, height, 1, channels);
      const wide = (height: number, channels: number) => bench.arena.matrix('wide', height, channels);
      return [
        [narrow, wide],
        [wide, narrow],
      ].map(([from, to]) => {
        const input = from(rows, columns);
        writeMatrix(bench.gpu, input, values);
        const output = to(rows2, columns2);
        bench.gpu.write(output, new Float32Array(rows2 * output.stride).fill(99));
        recordRestride(bench.recorder, { input, output });
        const name = `${rows} x ${columns} (stride ${input.stride}) to ${rows2} x ${columns2} (stride ${output.stride})`;
        return { name, view: output, expected: values, tolerance: TOLERANCES.exact };
      });
    }),
  );
});

it('restride moves bits unchanged, also those of NaN', async () => {
  const bench = new Bench(device.gpu);
  const words = Uint32Array.of(0x7fc12345, 0xff800000, 0x80000000, 0x00000001, 0x3f800000, 0x7f800000);
  const input = bench.arena.image('input', 1, 6, 1, 1);
  const padded = new Uint32Array(24);
  words.forEach((word, i) => {
    padded[4 * i] = word;
  });
  bench.gpu.write(input, padded);
  const output = bench.arena.image('output', 1, 2, 1, 3);
  recordRestride(bench.recorder, { input, output });
  (await bench.recorder.build('bits')).run();
  const got = await bench.gpu.readWords(output);
  expect([...got]).toEqual([...words.subarray(0, 3), 0, ...words.subarray(3), 0]);
  bench.arena.destroy();
});

it('restride refuses shapes with different numbers of elements', () => {
  const bench = new Bench(device.gpu);
  const [input, output] = [bench.arena.matrix('a', 4, 6), bench.arena.matrix('b', 5, 5)];
  const launch = () => recordRestride(bench.recorder, { input, output });
  expect(launch).toThrow(ShapeError);
  expect(launch).toThrow('restride: input is 4 x 6 but output is 5 x 5; they must have the same number of elements');
  expect(() => recordRestride(bench.recorder, { input: { ...input, stride: 6 }, output })).toThrow(ShapeError);
  bench.arena.destroy();
});
