/** Checks of the kernels that find and invert chosen bits. */
import { rankChunks, recordFlipCodes, recordRankFlips, recordWeighRows } from '../../kernels/flips.ts';
import type { NumberFormat } from '../../memory/config.ts';
import { flipCodes, rankFlips, weighRows } from '../../reference/flips.ts';
import { checkedMemory, FORMATS, memoryImage } from './memory.ts';
import { type Check, COLUMNS, numbers, pad, ROWS, SIZE } from './trial.ts';

const flipCheck: Check = {
  kernel: 'flip_codes',
  record(trial) {
    const image = Uint32Array.from({ length: 40 }, (_, i) => Math.imul(i, 0x9e3779b1));
    const words = [
      [3, 0x80000001],
      [39, 0xff],
      [0, 4],
    ] as const;
    const codes = trial.buffer(image);
    // Room for more pairs than there are.
    const flips = trial.buffer(Uint32Array.from([words.length, 0, ...words.flat(), 7, 7, 7, 7]));
    recordFlipCodes(trial.recorder, { flips, codes });
    trial.expectWords(codes, flipCodes(image, words));
  },
};

function rankCheck(format: NumberFormat): Check {
  return {
    kernel: `rank_flips ${format.kind}`,
    record(trial) {
      const { codes, faultTable, tensors } = memoryImage(
        trial,
        'load',
        [
          [3, 17],
          [ROWS, COLUMNS],
        ],
        { ...checkedMemory(format), faults: [] },
      );
      const { stored, image } = tensors[1];
      const bits = image.codec.bits - 1;
      const gradient = numbers(SIZE, 3);
      const excluded = new Uint32Array(codes.size / 4).fill(0x12480124);
      const { chunks, blocks } = rankChunks(stored);
      const best = trial.results(chunks * 4);
      recordRankFlips(trial.recorder, {
        tensor: stored,
        bits,
        codes,
        gradient: trial.matrix(ROWS, COLUMNS, gradient),
        excluded: trial.buffer(excluded),
        faultTable,
        best,
      });
      const first = (stored.origin * image.codec.storageBits) / 2;
      const expected = rankFlips(image, pad(gradient, ROWS, COLUMNS, stored.stride, Float64Array), {
        bits,
        excluded: excluded.subarray(first),
        blocks,
      });
      const scores = Float32Array.from(expected, (flip) => flip?.score ?? 0);
      const words = expected.flatMap((flip, i) => [
        new Uint32Array(scores.buffer)[i],
        flip?.position ?? 0,
        flip?.bit ?? 0,
        flip ? 1 : 0,
      ]);
      // A difference of two f32 and a product, each rounded once. Read as f32, whole numbers are subnormal and must agree.
      trial.expect(best, new Float32Array(Uint32Array.from(words).buffer), { relative: 1e-6, absolute: 0 });
    },
  };
}

const weighCheck: Check = {
  kernel: 'weigh_rows',
  record(trial) {
    const [values, weights] = [numbers(SIZE, 5), numbers(ROWS, 6)];
    const gradient = trial.matrix(ROWS, COLUMNS, values);
    recordWeighRows(trial.recorder, { weights: trial.buffer(weights), gradient });
    trial.expectMatrix(gradient, weighRows(values, COLUMNS, weights), { relative: 1.2e-7, absolute: 0 });
  },
};

export const FLIPS: readonly Check[] = [flipCheck, ...FORMATS.map(rankCheck), weighCheck];
