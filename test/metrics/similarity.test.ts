import { describe, expect, test } from 'vitest';
import { DataError, ShapeError } from '../../src/errors.ts';
import {
  indexPhotographs,
  liftsOfPhotographs,
  mse,
  pcc,
  psnr,
  similarityToPerson,
  ssim,
} from '../../src/metrics/similarity.ts';
import { Random } from '../../src/random.ts';

const f32 = (...values: number[]) => Float32Array.from(values);

const noise = (length: number, seed: number) => {
  const random = new Random(seed);
  return Float32Array.from({ length }, () => random.nextU32() / 2 ** 32);
};

describe('the correlation of images (PCC)', () => {
  test('PCC is the textbook number', () => {
    // Deviations -1.5 -.5 .5 1.5 and -1.5 .5 -.5 1.5: sum of products 4, both sums of squares 5.
    expect(pcc(f32(1, 2, 3, 4), f32(1, 3, 2, 4))).toBeCloseTo(0.8, 14);
  });

  test('PCC is signed and ignores offset and positive scale', () => {
    const a = f32(0, 0.25, 0.5, 1);
    expect(pcc(a, a)).toBeCloseTo(1, 14);
    expect(
      pcc(
        a,
        a.map((value) => 8 - 4 * value),
      ),
    ).toBeCloseTo(-1, 14);
    expect(
      pcc(
        a,
        a.map((value) => 8 + 4 * value),
      ),
    ).toBeCloseTo(1, 14);
  });

  test('PCC is symmetric and within -1..1', () => {
    for (let seed = 0; seed < 20; seed++) {
      const [a, b] = [noise(30, seed), noise(30, seed + 100)];
      expect(pcc(a, b)).toBe(pcc(b, a));
      expect(Math.abs(pcc(a, b))).toBeLessThanOrEqual(1);
    }
  });

  test('PCC does not exist with a constant image, even when its mean is rounded', () => {
    expect(pcc(new Float32Array(103).fill(0.1), noise(103, 1))).toBeNaN();
    expect(pcc(noise(103, 1), new Float32Array(103).fill(0.7))).toBeNaN();
  });

  test('PCC is NaN when a pixel is NaN', () => {
    expect(pcc(f32(1, Number.NaN), f32(1, 2))).toBeNaN();
    expect(pcc(f32(Number.NaN, Number.NaN), f32(1, 2))).toBeNaN();
  });
});

describe('MSE and PSNR', () => {
  test('MSE and PSNR are the textbook numbers', () => {
    expect(mse(f32(0, 0.5, 1), f32(0.5, 0.5, 0))).toBeCloseTo(1.25 / 3, 14);
    expect(psnr(f32(0, 0.5), f32(0.5, 0))).toBeCloseTo(6.020599913279624, 12); // 10 log10 4
  });

  test('MSE and PSNR are 0 and Infinity for equal images', () => {
    expect(mse(f32(0.3, 0.7), f32(0.3, 0.7))).toBe(0);
    expect(psnr(f32(0.3, 0.7), f32(0.3, 0.7))).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('the structural similarity (SSIM)', () => {
  test('SSIM of two constant images is the luminance term', () => {
    const a = new Float32Array(144).fill(0.25);
    const b = new Float32Array(144).fill(0.75);
    expect(ssim(a, b, 12, 12)).toBeCloseTo((2 * 0.1875 + 0.0001) / (0.625 + 0.0001), 8);
  });

  test('SSIM is what numpy and scipy compute, for a full and a shrunken window', () => {
    const pattern = (i: number, step: number) => ((i * step) % 17) / 16;
    const pair = (length: number) => [
      Float32Array.from({ length }, (_, i) => pattern(i, 7)),
      Float32Array.from({ length }, (_, i) => 0.5 * pattern(i, 7) + 0.5 * pattern(i, 3)),
    ];
    const [a, b] = pair(13 * 16);
    expect(ssim(a, b, 13, 16)).toBeCloseTo(0.5987637532908694, 10);
    const [c, d] = pair(20 * 6);
    expect(ssim(c, d, 20, 6)).toBeCloseTo(0.5906013337920306, 10); // window 5x5
  });

  test('SSIM is 1 for equal images and lower with more noise', () => {
    const a = noise(400, 1);
    expect(ssim(a, a, 20, 20)).toBeCloseTo(1, 12);
    const withNoise = (level: number) => {
      const other = noise(400, 2);
      return a.map((value, i) => (1 - level) * value + level * other[i]);
    };
    expect(ssim(a, withNoise(0.1), 20, 20)).toBeGreaterThan(ssim(a, withNoise(0.5), 20, 20));
  });

  test('SSIM of a colour image is the mean over its channels', () => {
    const [a, b] = [noise(3 * 13 * 16, 3), noise(3 * 13 * 16, 4)];
    const channelOf = (image: Float32Array, channel: number) => image.filter((_, i) => i % 3 === channel);
    const each = [0, 1, 2].map((channel) => ssim(channelOf(a, channel), channelOf(b, channel), 13, 16));
    expect(ssim(a, b, 13, 16, 3)).toBeCloseTo((each[0] + each[1] + each[2]) / 3, 12);
    expect(() => ssim(a, b, 13, 16)).toThrow(/624 pixels are not a 13x16 image/);
    expect(() => ssim(a, b, 13, 15, 3)).toThrow(/624 pixels are not a 13x15 RGB image/);
  });

  test('SSIM works down to one pixel', () => {
    expect(ssim(f32(0.5), f32(0.5), 1, 1)).toBeCloseTo(1, 12);
  });
});

test('images of different or no size are refused', () => {
  for (const metric of [pcc, mse, psnr]) {
    expect(() => metric(f32(1), f32(1, 2))).toThrow(ShapeError);
    expect(() => metric(f32(), f32())).toThrow(ShapeError);
  }
  expect(() => ssim(f32(1, 2), f32(1, 2), 2, 2)).toThrow(/2 pixels are not a 2x2 image/);
  expect(() => ssim(f32(1, 2), f32(1), 2, 1)).toThrow(ShapeError);
});

test('colour photographs are compared over all channels, with the SSIM of each', () => {
  const size = 12 * 10 * 3;
  const labels = [0, 0, 1];
  const photographs = noise(labels.length * size, 5);
  const index = indexPhotographs(photographs, labels, 12, 10, undefined, 3);
  const reconstruction = noise(size, 6);
  const own = [0, 1].map((i) => photographs.subarray(i * size, (i + 1) * size));
  const { ssim: structure, psnr: decibels, pcc: correlation } = similarityToPerson(reconstruction, index, 0);
  const mean = (measure: (other: Float32Array) => number) => (measure(own[0]) + measure(own[1])) / 2;
  expect(structure).toBeCloseTo(
    mean((other) => ssim(reconstruction, other, 12, 10, 3)),
    12,
  );
  expect(decibels).toBeCloseTo(
    mean((other) => psnr(reconstruction, other)),
    12,
  );
  expect(correlation).toBeCloseTo(
    mean((other) => pcc(reconstruction, other)),
    12,
  );
  expect(() => indexPhotographs(photographs, labels, 12, 10)).toThrow(ShapeError);
});

describe('similarity to photographs', () => {
  const pixels = 12 * 14;
  const labels = [0, 2, 0, 2, 1, 2];
  const photographs = noise(labels.length * pixels, 7);
  const photograph = (i: number) => photographs.subarray(i * pixels, (i + 1) * pixels);
  const index = indexPhotographs(photographs, labels, 12, 14);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  test('the similarity to photographs is the mean of one-by-one comparisons', () => {
    const reconstruction = noise(pixels, 8);
    const own = [1, 3, 5].map(photograph);
    const others = [0, 2, 4].map(photograph);
    const result = similarityToPerson(reconstruction, index, 2);
    expect(result.pcc).toBeCloseTo(mean(own.map((each) => pcc(reconstruction, each))), 12);
    expect(result.pccLift).toBeCloseTo(result.pcc - mean(others.map((each) => pcc(reconstruction, each))), 12);
    expect(result.mse).toBeCloseTo(mean(own.map((each) => mse(reconstruction, each))), 14);
    expect(result.psnr).toBeCloseTo(mean(own.map((each) => psnr(reconstruction, each))), 12);
    expect(result.ssim).toBeCloseTo(mean(own.map((each) => ssim(reconstruction, each, 12, 14))), 14);
  });

  test('the similarity is perfect for the only photograph of a person', () => {
    const result = similarityToPerson(photograph(4), index, 1);
    expect(result.pcc).toBeCloseTo(1, 12);
    expect(result.ssim).toBeCloseTo(1, 12);
    expect([result.mse, result.psnr]).toEqual([0, Number.POSITIVE_INFINITY]);
    expect(result.pccLift).toBeGreaterThan(0.9);
  });

  test('the similarity to one photograph is that comparison, and its others are those of the same person', () => {
    const reconstruction = noise(pixels, 8);
    const result = similarityToPerson(reconstruction, index, 2, 3);
    const wrong = mean([0, 2, 4].map((i) => pcc(reconstruction, photograph(i))));
    const other = mean([1, 5].map((i) => pcc(reconstruction, photograph(i))));
    expect(result.pcc).toBeCloseTo(pcc(reconstruction, photograph(3)), 12);
    expect(result.pccLift).toBeCloseTo(result.pcc - wrong, 12);
    expect(result.pccOther).toBeCloseTo(other, 12);
    expect(result.liftOther).toBeCloseTo(other - wrong, 12);
    expect(result.mse).toBeCloseTo(mse(reconstruction, photograph(3)), 14);
    expect(result.ssim).toBeCloseTo(ssim(reconstruction, photograph(3), 12, 14), 14);
    // Person 1 has no other photograph.
    const only = similarityToPerson(reconstruction, index, 1, 4);
    expect([only.pccOther, only.liftMeanFreeOther, only.rank1, only.auc]).toEqual(Array(4).fill(Number.NaN));
  });

  test('a constant reconstruction has no similarity', () => {
    const result = similarityToPerson(new Float32Array(pixels).fill(0.4), index, 0);
    for (const key of ['pcc', 'pccLift', 'pccMeanFree', 'liftMeanFree', 'rank1', 'rank5', 'auc'] as const) {
      expect(result[key]).toBeNaN();
    }
  });

  test('a constant photograph is left out', () => {
    const withFlat = indexPhotographs(f32(0, 1, 0.1, 0.1, 1, 0), [0, 0, 1], 2, 1);
    expect(withFlat.count).toBe(2);
    expect(similarityToPerson(f32(0, 1), withFlat, 0).pcc).toBeCloseTo(1, 12);
  });

  test('unknown persons, other sizes and photographs of only one person are refused', () => {
    expect(() => similarityToPerson(photograph(0), index, 3)).toThrow(DataError);
    expect(() => similarityToPerson(f32(1, 2), index, 0)).toThrow(/has 2 pixels, but the photographs are 12x14/);
    expect(() => indexPhotographs(photographs, labels, 12, 13)).toThrow(ShapeError);
    expect(() => indexPhotographs(f32(0, 1, 1, 0), [3, 3], 2, 1)).toThrow(DataError);
    const withoutOne = indexPhotographs(f32(0, 1, 1, 0), [0, 2], 2, 1);
    expect(() => similarityToPerson(f32(0, 1), withoutOne, 1)).toThrow(/person 1 has no photographs/);
  });
});

describe('similarity without the mean face', () => {
  const pixels = 12 * 14;
  const labels = [0, 1, 2, 0, 1, 2, 3, 3];
  const photographs = noise(labels.length * pixels, 21);
  const meanFace = noise(pixels, 22);
  const index = indexPhotographs(photographs, labels, 12, 14, meanFace);
  const photograph = (i: number) => photographs.subarray(i * pixels, (i + 1) * pixels);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /** The textbook formula of a partial correlation, from three correlations. */
  const partial = (a: Float32Array, b: Float32Array) => {
    const [ab, am, bm] = [pcc(a, b), pcc(a, meanFace), pcc(b, meanFace)];
    return (ab - am * bm) / Math.sqrt((1 - am ** 2) * (1 - bm ** 2));
  };

  test('the mean-free PCC is the partial correlation given the mean face', () => {
    const image = noise(pixels, 23);
    const result = similarityToPerson(image, index, 1);
    const wrong = mean([0, 2, 3, 5, 6, 7].map((i) => partial(image, photograph(i))));
    expect(result.pccMeanFree).toBeCloseTo(mean([1, 4].map((i) => partial(image, photograph(i)))), 12);
    expect(result.liftMeanFree).toBeCloseTo(result.pccMeanFree - wrong, 12);
    const one = similarityToPerson(image, index, 1, 4);
    expect(one.pccMeanFree).toBeCloseTo(partial(image, photograph(4)), 12);
    expect(one.pccMeanFreeOther).toBeCloseTo(partial(image, photograph(1)), 12);
  });

  test('more or less of the mean face changes the raw lift but not the mean-free one', () => {
    const own = photograph(2);
    const faded = (weight: number) => own.map((value, i) => value + weight * meanFace[i]);
    const [little, much] = [faded(0.2), faded(3)].map((image) => similarityToPerson(image, index, 2));
    expect(much.liftMeanFree).toBeCloseTo(little.liftMeanFree, 6);
    expect(Math.abs(much.pccLift - little.pccLift)).toBeGreaterThan(0.1);
  });

  test('an image that is the mean face shows nobody', () => {
    const scaled = meanFace.map((value) => 0.25 + 0.5 * value);
    const { pcc: raw, pccMeanFree, rank1 } = similarityToPerson(meanFace, index, 0);
    expect(raw).not.toBeNaN();
    expect([pccMeanFree, rank1]).toEqual([Number.NaN, Number.NaN]);
    expect(Math.abs(similarityToPerson(scaled, index, 0).pccMeanFree)).toBeLessThanOrEqual(1);
  });

  test('ranks and AUC are those of a brute-force comparison with every person', () => {
    for (let seed = 30; seed < 60; seed++) {
      const image = noise(pixels, seed);
      for (const person of [0, 1, 2, 3]) {
        const similarity = (p: number) =>
          mean(labels.flatMap((label, i) => (label === p ? [partial(image, photograph(i))] : [])));
        const others = [0, 1, 2, 3].filter((p) => p !== person).map(similarity);
        const above = others.filter((value) => value > similarity(person)).length;
        const result = similarityToPerson(image, index, person);
        expect(result.rank1).toBe(above === 0 ? 1 : 0);
        expect(result.rank5).toBe(1);
        expect(result.auc).toBeCloseTo(1 - above / 3, 12);
      }
    }
  });

  test('the photograph that was classified does not count for identification', () => {
    // The image equals photograph 0 of person 0, whose other photograph is as unlike it as those of other people.
    const { rank1 } = similarityToPerson(photograph(0), index, 0);
    expect(rank1).toBe(1);
    const others = [3].map((i) => partial(photograph(0), photograph(i)));
    const best = Math.max(
      ...[1, 2, 3].map((p) => mean(labels.flatMap((l, i) => (l === p ? [partial(photograph(0), photograph(i))] : [])))),
    );
    expect(similarityToPerson(photograph(0), index, 0, 0).rank1).toBe(others[0] > best ? 1 : 0);
  });

  test('the lifts of photographs are those of each with the other photographs of its person', () => {
    const lifts = liftsOfPhotographs(index);
    expect(lifts).toHaveLength(labels.length);
    // In the order of persons.
    expect(lifts[0]).toBeCloseTo(similarityToPerson(photograph(0), index, 0, 0).liftMeanFreeOther, 12);
    expect(lifts[7]).toBeCloseTo(similarityToPerson(photograph(7), index, 3, 7).liftMeanFreeOther, 12);
  });
});
