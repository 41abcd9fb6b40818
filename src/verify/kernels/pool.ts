/** Checks of shaders/pool. */

import { recordAvgPool2dBackward, recordAvgPool2dForward } from '../../kernels/avg_pool.ts';
import {
  type PoolShape,
  recordMaxPool2dBackward,
  recordMaxPool2dForward,
  windowsPerPixel,
} from '../../kernels/pool.ts';
import { poolShape } from '../../layers/pool_shape.ts';
import { activationBackward, activationForward } from '../../reference/activation.ts';
import { avgPool2d, avgPool2dBackward, maxPool2d, maxPool2dBackward } from '../../reference/pool.ts';
import { sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, numbers, pad } from './trial.ts';

const CHANNELS = 5;
const IMAGE = { height: 6, width: 7 };
/** Overlapping windows that extend over the edges, and windows with gaps between them that leave out the last pixels. */
const OVERLAPPING = poolShape('overlapping', 2, IMAGE, {
  kernelSize: [3, 4],
  stride: 2,
  padding: [1, 2, 0, 1],
  ceilMode: true,
});
const DISJOINT = poolShape('disjoint', 2, IMAGE, { kernelSize: [2, 1], stride: [3, 2] });

function rowsOf({ batch, height, width, outHeight, outWidth }: PoolShape): { before: number; after: number } {
  return { before: batch * height * width, after: batch * outHeight * outWidth };
}

/** Integers, so that some values of a window are equal. */
const inputOf = (shape: PoolShape) => numbers(rowsOf(shape).before * CHANNELS, 1, 3).map(Math.round);

/** Positions of maxima, in the layout of the output. */
const places = (chosen: Uint32Array, stride: number): Uint32Array<ArrayBuffer> =>
  Uint32Array.from(pad(chosen, chosen.length / CHANNELS, CHANNELS, stride));

const forwardCheck: Check = {
  kernel: 'max_pool2d_forward',
  record(trial) {
    const shape = OVERLAPPING;
    const { before, after } = rowsOf(shape);
    const x = inputOf(shape);
    const output = trial.imagesOutput(after, CHANNELS);
    const chosen = trial.results(after * output.stride);
    const input = trial.images(before, CHANNELS, x);
    recordMaxPool2dForward(trial.recorder, { shape, input, output, chosen, activation: 'relu' });
    const expected = maxPool2d(shape, x, CHANNELS);
    trial.expectMatrix(output, activationForward('relu', expected.output), TOLERANCES.exact);
    trial.expectWords(chosen, places(expected.chosen, output.stride));
  },
};

function backwardCheck(kernel: string, shape: PoolShape): Check {
  return {
    kernel,
    record(trial) {
      const { before, after } = rowsOf(shape);
      const { chosen, output } = maxPool2d(shape, inputOf(shape), CHANNELS);
      const y = activationForward('relu', output);
      const dy = numbers(after * CHANNELS, 2);
      const gradOutput = trial.images(after, CHANNELS, dy);
      const gradInput = trial.imagesOutput(before, CHANNELS);
      recordMaxPool2dBackward(trial.recorder, {
        shape,
        chosen: trial.buffer(places(chosen, gradOutput.stride)),
        activated: { activation: 'relu', output: trial.images(after, CHANNELS, y) },
        gradOutput,
        gradInput,
      });
      const windows = windowsPerPixel(shape);
      const tolerance = windows > 1 ? sumTolerance(windows) : TOLERANCES.exact;
      const passed = activationBackward('relu', y, dy);
      trial.expectMatrix(gradInput, maxPool2dBackward(shape, chosen, passed, CHANNELS), tolerance);
    },
  };
}

const averageForwardCheck: Check = {
  kernel: 'avg_pool2d_forward',
  record(trial) {
    const shape = OVERLAPPING;
    const { before, after } = rowsOf(shape);
    const x = numbers(before * CHANNELS, 1);
    const [input, output] = [trial.images(before, CHANNELS, x), trial.imagesOutput(after, CHANNELS)];
    recordAvgPool2dForward(trial.recorder, { shape, countIncludePad: true, input, output });
    trial.expectMatrix(output, avgPool2d(shape, x, CHANNELS, true), sumTolerance(12));
  },
};

function averageBackwardCheck(kernel: string, shape: PoolShape): Check {
  return {
    kernel,
    record(trial) {
      const { before, after } = rowsOf(shape);
      const dy = numbers(after * CHANNELS, 2);
      const [gradOutput, gradInput] = [trial.images(after, CHANNELS, dy), trial.imagesOutput(before, CHANNELS)];
      recordAvgPool2dBackward(trial.recorder, { shape, countIncludePad: false, gradOutput, gradInput });
      const expected = avgPool2dBackward(shape, dy, CHANNELS, false);
      trial.expectMatrix(gradInput, expected, sumTolerance(windowsPerPixel(shape)));
    },
  };
}

export const POOLS: readonly Check[] = [
  forwardCheck,
  backwardCheck('max_pool2d_backward', OVERLAPPING),
  backwardCheck('max_pool2d_backward disjoint', DISJOINT),
  averageForwardCheck,
  averageBackwardCheck('avg_pool2d_backward', OVERLAPPING),
  averageBackwardCheck('avg_pool2d_backward disjoint', DISJOINT),
];
