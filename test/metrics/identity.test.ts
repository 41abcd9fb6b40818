import { describe, expect, test } from 'vitest';
import { toFloat } from '../../src/data/dataset.ts';
import { loadAttFaces } from '../../src/data/node/attfaces.ts';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import { trainIdentityClassifier } from '../../src/metrics/identity.ts';
import { Random } from '../../src/random.ts';
import { attFaces } from '../data/real-faces.ts';

const pixels = 50;
const people = 5;

/** `perPerson` noisy pictures of each of five random faces, of any contrast and brightness. */
const pictures = (perPerson: number, seed: number) => {
  const uniform = (random: Random) => random.nextU32() / 2 ** 32;
  const random = new Random(seed, 1);
  const labels = Array.from({ length: people * perPerson }, (_, i) => i % people);
  const images = new Float32Array(labels.length * pixels);
  labels.forEach((label, i) => {
    const face = new Random(label);
    const contrast = 0.2 + uniform(random);
    const brightness = uniform(random);
    for (let k = 0; k < pixels; k++) {
      images[i * pixels + k] = brightness + contrast * (uniform(face) + 0.5 * uniform(random));
    }
  });
  return { images, labels };
};

describe('the identity classifier', () => {
  const trained = pictures(3, 1);
  const classifier = trainIdentityClassifier(trained.images, trained.labels, people);

  test('the classifier recognises new pictures of the same people, whatever their contrast and brightness', () => {
    const fresh = pictures(20, 2);
    expect(classifier.accuracy(fresh.images, fresh.labels)).toBeGreaterThan(0.97);
    const first = fresh.images.subarray(0, pixels);
    expect(classifier.predict(first)).toBe(0);
    expect(classifier.predict(first.map((value) => 100 + 7 * value))).toBe(0);
  });

  test('the classifier solves the ridge equations', () => {
    // Standardised and less their average, the two images are +c and -c, so the scores are antisymmetric and an image
    // belongs to the one that it correlates with more.
    const two = trainIdentityClassifier(Float32Array.of(0, 1, 1, 0, 1, 0, 1, 0), [1, 0], 2);
    expect(two.predict(Float32Array.of(0, 1, 1, 0))).toBe(1);
    expect(two.predict(Float32Array.of(1, 0, 1, 0))).toBe(0);
    expect(two.predict(Float32Array.of(0, 0.9, 1, 0.2))).toBe(1);
  });

  test('the classifier is at chance for random pictures', () => {
    const random = new Random(9);
    const labels = Array.from({ length: 500 }, (_, i) => i % people);
    const images = Float32Array.from({ length: labels.length * pixels }, () => random.nextU32() / 2 ** 32);
    expect(Math.abs(classifier.accuracy(images, labels) - 0.2)).toBeLessThan(4 * Math.sqrt((0.2 * 0.8) / 500));
  });

  test('the classifier does not favour people with more pictures', () => {
    const many = pictures(12, 3);
    const keep = many.labels.flatMap((label, i) => (label === 0 || i < people * 2 ? [i] : []));
    const images = Float32Array.from(keep.flatMap((i) => [...many.images.subarray(i * pixels, (i + 1) * pixels)]));
    const uneven = trainIdentityClassifier(
      images,
      keep.map((i) => many.labels[i]),
      people,
    );
    const fresh = pictures(20, 2);
    expect(uneven.accuracy(fresh.images, fresh.labels)).toBeGreaterThan(0.9);
  });

  test('the classifier predicts nobody for an image without contrast or with a NaN', () => {
    expect(classifier.predict(new Float32Array(pixels).fill(0.1))).toBe(-1);
    expect(classifier.predict(new Float32Array(pixels).fill(Number.NaN))).toBe(-1);
    expect(classifier.predict(trained.images.slice(0, pixels).fill(Number.NaN, 3, 4))).toBe(-1);
  });

  test('the classifier is the same after every training', () => {
    const again = trainIdentityClassifier(trained.images, trained.labels, people);
    const fresh = pictures(4, 5);
    fresh.labels.forEach((_, i) => {
      const image = fresh.images.subarray(i * pixels, (i + 1) * pixels);
      expect(again.predict(image)).toBe(classifier.predict(image));
    });
  });

  test('the classifier refuses data from which it cannot learn', () => {
    const train =
      (images: number[], labels: number[], options = {}) =>
      () =>
        trainIdentityClassifier(Float32Array.from(images), labels, 2, options);
    expect(train([0, 1, 1], [0, 1])).toThrow(ShapeError);
    expect(train([], [])).toThrow(ShapeError);
    expect(train([0, 1, 1, 0], [0, 2])).toThrow(/image 1 has label 2/);
    expect(train([0, 1, 1, Number.NaN], [0, 1])).toThrow(/image 1 has a pixel that is not finite/);
    expect(train([1, 1, 3, 3], [0, 1])).toThrow(/no training image has any contrast/);
    expect(train([0, 1, 0, 3], [0, 1])).toThrow(/all alike/);
    for (const lambda of [0, -1, Number.NaN]) expect(train([0, 1, 1, 0], [0, 1], { lambda })).toThrow(ConfigError);
    expect(() => classifier.predict(new Float32Array(3))).toThrow(ShapeError);
    expect(() => classifier.accuracy(new Float32Array(3), [0])).toThrow(ShapeError);
    expect(() => classifier.accuracy(new Float32Array(0), [])).toThrow(ShapeError);
  });
});

test.skipIf(attFaces === undefined)(
  'the identity classifier recognises most AT&T faces from photographs that the victim has not seen',
  async () => {
    const { dataset, split } = await loadAttFaces(attFaces ?? '');
    const labelsOf = (indices: Uint32Array) => Array.from(indices, (i) => dataset.labels[i]);
    const held = { images: toFloat(dataset, split.test), labels: labelsOf(split.test) };
    const trained = { images: toFloat(dataset, split.train), labels: labelsOf(split.train) };
    const classifier = trainIdentityClassifier(held.images, held.labels, 40);
    // An independent numpy solution of the same equations gets 220 of 280 right.
    expect(classifier.accuracy(trained.images, trained.labels)).toBeCloseTo(220 / 280, 2);
  },
);
