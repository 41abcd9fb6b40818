/** Checks of shaders/image: batches from a data set, copies between images, and filters. */

import type { Program } from '../../gpu/recorder.ts';
import { packImages, recordCorrupt, recordErase, recordGatherBatch, recordGatherRows } from '../../kernels/batch.ts';
import { recordCopyWindow, type WindowCopy } from '../../kernels/copy_window.ts';
import {
  recordNonLocalMeans,
  recordSharpen,
  recordTotalVariation,
  recordTotalVariationValue,
  recordTranslate,
} from '../../kernels/image.ts';
import { recordReshapeChannelsFirst } from '../../kernels/reshape_channels_first.ts';
import { recordRestride } from '../../kernels/restride.ts';
import { copyWindow, reshapeChannelsFirst } from '../../reference/copy_window.ts';
import { nonLocalMeans, sharpen, totalVariation, totalVariationGradient, translate } from '../../reference/image.ts';
import { corrupt, erase } from '../../reference/random.ts';
import { sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, COLUMNS, DRAW, numbers, pixels, ROWS, SIZE } from './trial.ts';

/** Number of the read by which images are moved. */
const PASS = 6;

/** A data set of 11 images in shuffled order, and a batch that starts at the third. */
const IMAGES = 11;
const BATCH_OFFSET = 2;
const ORDER = Uint32Array.from({ length: IMAGES }, (_, i) => (i * 7 + 5) % IMAGES);
const CHOSEN = ORDER.subarray(BATCH_OFFSET, BATCH_OFFSET + ROWS);

const prepareDraw = (program: Program) => {
  program.setStep({ batchOffset: BATCH_OFFSET });
  program.setStep({ draw: DRAW });
};

const prepareBatch = (program: Program) => {
  program.setStep({ batchOffset: BATCH_OFFSET });
};

export const BATCHES: readonly Check[] = [
  {
    kernel: 'gather_batch',
    record(trial) {
      const bytes = Uint8Array.from(pixels(IMAGES * COLUMNS, 1), (value) => Math.floor(value * 255.9));
      const labels = Uint32Array.from({ length: IMAGES }, (_, i) => (i * 31) % 17);
      const images = trial.output(ROWS, COLUMNS);
      const targets = trial.results(ROWS);
      recordGatherBatch(trial.recorder, {
        pixels: trial.buffer(packImages(bytes, COLUMNS)),
        labels: trial.buffer(labels),
        order: trial.buffer(ORDER),
        images,
        targets,
      });
      const expected = Array.from(CHOSEN, (i) => [...bytes.subarray(i * COLUMNS, (i + 1) * COLUMNS)]).flat();
      trial.expectMatrix(
        images,
        expected.map((byte) => byte / 255),
        TOLERANCES.pixel,
      );
      trial.expectWords(
        targets,
        Uint32Array.from(CHOSEN, (i) => labels[i]),
      );
    },
    prepare: prepareBatch,
  },
  {
    kernel: 'gather_rows',
    record(trial) {
      const values = numbers(IMAGES * COLUMNS, 1);
      const output = trial.output(ROWS, COLUMNS);
      const table = trial.matrix(IMAGES, COLUMNS, values);
      recordGatherRows(trial.recorder, { table, order: trial.buffer(ORDER), output });
      const expected = Array.from(CHOSEN, (i) => [...values.subarray(i * COLUMNS, (i + 1) * COLUMNS)]).flat();
      trial.expectMatrix(output, expected, TOLERANCES.exact);
    },
    prepare: prepareBatch,
  },
  {
    kernel: 'restride',
    record(trial) {
      const values = numbers(SIZE, 1);
      const wide = trial.output(ROWS, COLUMNS);
      const narrow = trial.imagesOutput(COLUMNS, ROWS);
      recordRestride(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, values), output: narrow });
      recordRestride(trial.recorder, { input: trial.images(COLUMNS, ROWS, values), output: wide });
      for (const output of [wide, narrow]) trial.expectMatrix(output, values, TOLERANCES.exact);
    },
  },
  {
    kernel: 'corrupt',
    record(trial) {
      const x = pixels(SIZE, 1);
      const deviation = Math.fround(0.3);
      const output = trial.output(ROWS, COLUMNS);
      const input = trial.matrix(ROWS, COLUMNS, x);
      recordCorrupt(trial.recorder, { input, order: trial.buffer(ORDER), output, deviation, seed: 9 });
      trial.expectMatrix(output, corrupt(x, CHOSEN, deviation, 9, DRAW), TOLERANCES.normal);
    },
    prepare: prepareDraw,
  },
  {
    kernel: 'erase',
    record(trial) {
      const options = { probability: 0.75, least: 0.1, most: 0.5, height: 7, width: 5, channels: 3 } as const;
      const x = pixels(ROWS * 105, 1);
      const images = trial.matrix(ROWS, 105, x);
      recordErase(trial.recorder, { images, order: trial.buffer(ORDER), seed: 9, ...options });
      trial.expectMatrix(images, erase(x, CHOSEN, options, 9, DRAW), TOLERANCES.exact);
    },
    prepare: prepareDraw,
  },
];

function copyCheck(name: string, copy: WindowCopy, inputChannels: number, outputChannels: number): Check {
  return {
    kernel: `copy_window ${name}`,
    record(trial) {
      const { batch, from, to } = copy;
      const [before, after] = [from, to].map(({ height, width }) => batch * height * width);
      const x = numbers(before * inputChannels, 1);
      const [input, output] = [trial.images(before, inputChannels, x), trial.imagesOutput(after, outputChannels)];
      recordCopyWindow(trial.recorder, { copy, input, output });
      const expected = new Float64Array(after * outputChannels).fill(99);
      copyWindow(copy, x, inputChannels, expected, outputChannels);
      trial.expectMatrix(output, expected, TOLERANCES.exact);
    },
  };
}

export const COPIES: readonly Check[] = [
  copyCheck(
    'of single channels',
    { batch: 2, from: { height: 3, width: 4 }, to: { height: 3, width: 4 }, fromChannel: 1, toChannel: 2, channels: 5 },
    6,
    9,
  ),
  copyCheck(
    'with a margin',
    {
      batch: 2,
      from: { height: 3, width: 4 },
      to: { height: 6, width: 3 },
      top: -2,
      left: 1,
      channels: 5,
      fill: -0.75,
    },
    5,
    5,
  ),
  {
    kernel: 'reshape_channels_first',
    record(trial) {
      const [from, to] = [
        { pixels: 6, channels: 5 },
        { pixels: 10, channels: 3 },
      ];
      const x = numbers(60, 1);
      const [input, output] = [trial.images(12, 5, x), trial.imagesOutput(20, 3)];
      recordReshapeChannelsFirst(trial.recorder, { batch: 2, input, output });
      trial.expectMatrix(output, reshapeChannelsFirst(x, from, to), TOLERANCES.exact);
    },
  },
];

/** Sizes of the images that are filtered, with the end of the kernels' names. */
const GRAY = { height: 9, width: 7, channels: 1, ending: '' } as const;
const RGB = { height: 5, width: 7, channels: 3, ending: '_rgb' } as const;

function filtersOf({ ending, ...image }: typeof GRAY | typeof RGB): Check[] {
  const { height, width, channels } = image;
  const size = height * width * channels;
  return [
    {
      kernel: `non_local_means${ending}`,
      record(trial) {
        const options = { patchRadius: 1, searchRadius: 3, strength: 0.3 };
        const x = pixels(2 * size, 1);
        const output = trial.output(2, size);
        recordNonLocalMeans(trial.recorder, { ...image, ...options, input: trial.matrix(2, size, x), output });
        trial.expectMatrix(output, nonLocalMeans(x, height, width, options, channels), TOLERANCES.nonLocalMeans);
      },
    },
    ...[false, true].map(
      (back): Check => ({
        kernel: `translate${ending}${back ? ' back' : ''}`,
        record(trial) {
          const x = pixels(4 * size, 1);
          const output = trial.output(4, size);
          recordTranslate(trial.recorder, { ...image, shift: 2, back, input: trial.matrix(4, size, x), output });
          const move = { width, channels, shift: 2, back, key: DRAW, read: PASS };
          trial.expectMatrix(output, translate(x, size, move), TOLERANCES.image);
        },
        prepare(program) {
          program.setStep({ passIndex: PASS });
          program.setStep({ draw: DRAW });
        },
      }),
    ),
    {
      kernel: `sharpen${ending}`,
      record(trial) {
        const x = pixels(2 * size, 1);
        const output = trial.output(2, size);
        recordSharpen(trial.recorder, { ...image, amount: 0.75, input: trial.matrix(2, size, x), output });
        trial.expectMatrix(output, sharpen(x, height, width, 0.75, channels), TOLERANCES.image);
      },
    },
    {
      kernel: `total_variation${ending}`,
      record(trial) {
        const [x, before] = [pixels(2 * size, 1), numbers(2 * size, 2)];
        const [weight, epsilon] = [3, 0.01];
        const gradient = trial.matrix(2, size, before);
        const input = trial.matrix(2, size, x);
        recordTotalVariation(trial.recorder, { ...image, input, gradient, weight, epsilon });
        const added = totalVariationGradient(x, height, width, weight, epsilon, channels);
        trial.expectMatrix(
          gradient,
          added.map((value, i) => value + before[i]),
          TOLERANCES.image,
        );
      },
    },
    {
      kernel: `total_variation_value${ending}`,
      record(trial) {
        const [x, before] = [pixels(2 * size, 1), numbers(2 * 2, 2)];
        const [weight, epsilon] = [3, 0.01];
        const results = trial.buffer(before);
        const input = trial.matrix(2, size, x);
        recordTotalVariationValue(trial.recorder, { ...image, input, results, weight, epsilon });
        // The kernel subtracts the value of a flat image, all of whose differences are sqrt(epsilon).
        const differences = (height * (width - 1) + (height - 1) * width) * channels;
        const flat = (differences * Math.sqrt(epsilon)) / size;
        const expected = Float64Array.from(before);
        totalVariation(x, height, width, epsilon, channels).forEach((energy, i) => {
          expected[2 * i] += weight * (energy - flat);
        });
        trial.expect(results, expected, sumTolerance(differences));
      },
    },
  ];
}

export const IMAGE_FILTERS: readonly Check[] = [...filtersOf(GRAY), ...filtersOf(RGB)];
