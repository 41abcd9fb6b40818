/** Checks of shaders/pool. */

import { type PoolShape, poolOutputSize, recordMaxPool2dBackward, recordMaxPool2dForward } from '../../kernels/pool.ts';
import { activationBackward, activationForward } from '../../reference/activation.ts';
import { maxPool2d, maxPool2dBackward } from '../../reference/pool.ts';
import { sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, numbers, pad } from './trial.ts';

const CHANNELS = 5;
/** Overlapping windows that extend over the edges, and windows with gaps between them that leave out the last pixels. */
const OVERLAPPING: PoolShape = { batch: 2, height: 6, width: 7, kernelSize: 3, stride: 2, padding: 1 };
const DISJOINT: PoolShape = { batch: 2, height: 6, width: 7, kernelSize: 2, stride: 3 };

function rowsOf(shape: PoolShape): { before: number; after: number } {
  const { height, width } = poolOutputSize(shape);
  return { before: shape.batch * shape.height * shape.width, after: shape.batch * height * width };
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
      const windows = Math.ceil(shape.kernelSize / shape.stride) ** 2;
      const tolerance = windows > 1 ? sumTolerance(windows) : TOLERANCES.exact;
      const passed = activationBackward('relu', y, dy);
      trial.expectMatrix(gradInput, maxPool2dBackward(shape, chosen, passed, CHANNELS), tolerance);
    },
  };
}

export const POOLS: readonly Check[] = [
  forwardCheck,
  backwardCheck('max_pool2d_backward', OVERLAPPING),
  backwardCheck('max_pool2d_backward disjoint', DISJOINT),
];
