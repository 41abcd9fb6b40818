import { expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { recordCopyWindow, type WindowCopy } from '../../src/kernels/copy_window.ts';
import { copyWindow } from '../../src/reference/copy_window.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, randomValues, useGpu } from '../support/gpu.ts';
import { imageRows, imageRowsToWrite } from '../support/nhwc.ts';

const device = useGpu();

const SIZE = { height: 3, width: 4 };

/** A copy, and the channels of its input and output. */
const CASES: readonly (readonly [WindowCopy, inputChannels: number, outputChannels: number])[] = [
  // Four channels at a time, with and without pads.
  [{ batch: 1, from: SIZE, to: SIZE, fromChannel: 4, toChannel: 8, channels: 8 }, 12, 17],
  [{ batch: 3, from: SIZE, to: SIZE, fromChannel: 4, toChannel: 8, channels: 5 }, 17, 13],
  // The channels after those that are read must not reach the pads.
  [{ batch: 3, from: SIZE, to: SIZE, channels: 3 }, 17, 3],
  // One channel at a time.
  [{ batch: 3, from: SIZE, to: SIZE, fromChannel: 1, channels: 4 }, 5, 4],
  [{ batch: 2, from: SIZE, to: SIZE, toChannel: 3, channels: 1 }, 1, 5],
  [{ batch: 2, from: SIZE, to: SIZE, channels: 3 }, 3, 5],
  // Windows that extend beyond the input, miss it, or leave out parts of it.
  [{ batch: 3, from: SIZE, to: { height: 6, width: 7 }, top: -1, left: -2, channels: 5, fill: 0.5 }, 5, 5],
  [{ batch: 3, from: SIZE, to: { height: 2, width: 2 }, top: 1, left: 1, channels: 1 }, 1, 1],
  [{ batch: 1, from: SIZE, to: SIZE, top: 5, left: -9, channels: 3, fill: -7 }, 3, 3],
];

it('a copy between images agrees with its reference and leaves other channels as they are', async () => {
  await checkKernel(device.gpu, (bench) =>
    CASES.map(([copy, inputChannels, outputChannels], i) => {
      const [before, after] = [copy.from, copy.to].map(({ height, width }) => copy.batch * height * width);
      const x = randomValues(before * inputChannels, i);
      const output = imageRowsToWrite(bench, after, outputChannels);
      recordCopyWindow(bench.recorder, { copy, input: imageRows(bench, before, x), output });
      const expected = new Float64Array(after * outputChannels).fill(99);
      copyWindow(copy, x, inputChannels, expected, outputChannels);
      return { name: `case ${i}`, view: output, expected, tolerance: TOLERANCES.exact };
    }),
  );
});

it('a copy between images moves bits unchanged, also those of NaN', async () => {
  const words = Uint32Array.of(0x7fc12345, 0xff800000, 0x80000000, 0x00000001);
  const bench = new Bench(device.gpu);
  const input = bench.arena.image('input', 1, 1, 1, 4);
  bench.gpu.write(input, words);
  const size = { height: 1, width: 1 };
  const outputs = [4, 6].map((channels) => bench.arena.image('output', 1, 1, 1, channels));
  for (const output of outputs) {
    const copy = { batch: 1, from: size, to: size, toChannel: output.columns - 4, channels: 4 };
    recordCopyWindow(bench.recorder, { copy, input, output });
  }
  (await bench.recorder.build('bits')).run();
  expect([...(await device.gpu.readWords(outputs[0]))].slice(0, 4)).toEqual([...words]);
  expect([...(await device.gpu.readWords(outputs[1]))].slice(0, 8)).toEqual([0, 0, ...words, 0, 0]);
  bench.arena.destroy();
});

it('a copy between images refuses channels and sizes that the images do not have', () => {
  const bench = new Bench(device.gpu);
  const [input, output] = [imageRowsToWrite(bench, 24, 5), imageRowsToWrite(bench, 24, 9)];
  const record = (changed: object) => () =>
    recordCopyWindow(bench.recorder, {
      copy: { batch: 2, from: SIZE, to: SIZE, channels: 5, ...changed },
      input,
      output,
    });
  expect(record({})).not.toThrow();
  expect(record({ fromChannel: 1 })).toThrow(ShapeError);
  expect(record({ toChannel: 5 })).toThrow(/output is 24 x 9 but channels 5 to 10 of 2 images of 3 x 4 are copied/);
  expect(record({ batch: 3 })).toThrow(/input is 24 x 5/);
  expect(record({ channels: 0 })).toThrow(ShapeError);
  bench.arena.destroy();
});
