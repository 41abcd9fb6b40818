import { describe, expect, test } from 'vitest';
import { meanImage, toFloat } from '../../src/data/dataset.ts';
import { loadAttFaces } from '../../src/data/node/attfaces.ts';
import { DataError, ShapeError } from '../../src/errors.ts';
import { meanFacePcc, nullBaselines, shuffledPcc, wrongIdentityPcc } from '../../src/metrics/baselines.ts';
import { indexPhotographs, meanPccs, pcc, similarityToPerson } from '../../src/metrics/similarity.ts';
import { Random } from '../../src/random.ts';
import { attFaces } from '../data/real-faces.ts';

const noise = (length: number, seed: number) => {
  const random = new Random(seed);
  return Float32Array.from({ length }, () => random.nextU32() / 2 ** 32);
};

const pixels = 5 * 4;
const labels = [0, 1, 1, 3, 0, 3, 3];
const photographs = noise(labels.length * pixels, 1);
const photograph = (i: number) => photographs.subarray(i * pixels, (i + 1) * pixels);
const index = indexPhotographs(photographs, labels, 5, 4);
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('the null baselines', () => {
  test('the mean-face baseline compares the mean face with everybody', () => {
    const face = noise(pixels, 2);
    expect(meanFacePcc(face, index)).toBeCloseTo(mean(labels.map((_, i) => pcc(face, photograph(i)))), 12);
  });

  test('the wrong-identity baseline compares all pairs of photographs of different persons', () => {
    const pairs: number[] = [];
    labels.forEach((a, i) => {
      labels.forEach((b, j) => {
        if (a !== b) pairs.push(pcc(photograph(i), photograph(j)));
      });
    });
    expect(wrongIdentityPcc(index)).toBeCloseTo(mean(pairs), 12);
  });

  test('the shuffled baseline compares each reconstruction with another person, never with the right one', () => {
    // Every reconstruction is exactly the person's pattern, and patterns of different persons do not correlate.
    const patterns = [
      [1, 1, -1, -1],
      [1, -1, 1, -1],
      [1, -1, -1, 1],
    ].map((pattern) => Float32Array.from(pattern, (value) => (value + 1) / 2));
    const orthogonal = indexPhotographs(Float32Array.from(patterns.flatMap((each) => [...each])), [0, 1, 2], 2, 2);
    for (let seed = 0; seed < 50; seed++) {
      expect(shuffledPcc(patterns, [0, 1, 2], orthogonal, seed)).toBeCloseTo(0, 12);
      expect(shuffledPcc([patterns[1]], [1], orthogonal, seed)).toBeCloseTo(0, 12);
    }
  });

  test('the shuffled baseline reaches every other person for some seed, and the same person for the same seed', () => {
    const reconstruction = noise(pixels, 3);
    const seen = new Set(
      Array.from({ length: 40 }, (_, seed) => shuffledPcc([reconstruction], [0], index, seed).toFixed(12)),
    );
    const others = [1, 3].map((person) => similarityToPerson(reconstruction, index, person).pcc.toFixed(12));
    expect([...seen].sort()).toEqual(others.sort());
    expect(shuffledPcc([reconstruction], [0], index, 9)).toBe(shuffledPcc([reconstruction], [0], index, 9));
  });

  test('the baselines refuse missing reconstructions, unpaired persons and persons without photographs', () => {
    const face = noise(pixels, 2);
    expect(() => shuffledPcc([], [], index, 0)).toThrow(ShapeError);
    expect(() => shuffledPcc([face], [0, 1], index, 0)).toThrow(ShapeError);
    expect(() => shuffledPcc([face], [2], index, 0)).toThrow(DataError);
    expect(() => meanFacePcc(face.subarray(1), index)).toThrow(ShapeError);
  });
});

test.skipIf(attFaces === undefined)('the mean AT&T training face has PCC 0.637 with everybody', async () => {
  const { dataset, split } = await loadAttFaces(attFaces ?? '');
  const everybody = indexPhotographs(
    toFloat(
      dataset,
      dataset.ids.map((_, i) => i),
    ),
    dataset.labels,
    92,
    112,
  );
  const people = dataset.classNames.map((_, person) => person);
  const classMeans = people.map((person) =>
    meanImage(
      dataset,
      split.train.filter((i) => dataset.labels[i] === person),
    ),
  );
  const baselines = nullBaselines(meanImage(dataset, split.train), classMeans, people, everybody, 0);
  expect(baselines.meanFacePcc).toBeCloseTo(0.637, 3);
  expect(baselines.shuffledPcc).toBeLessThan(baselines.meanFacePcc);
  expect(baselines.wrongIdentityPcc).toBeLessThan(baselines.shuffledPcc);
  const own = classMeans.map((face, person) => meanPccs(face, everybody, person).own);
  expect(mean(own)).toBeCloseTo(0.84, 1);
});
