import { afterEach, describe, expect, test, vi } from 'vitest';
import { createDataset, datasetHash, meanImage, seededSplit, toFloat } from '../../src/data/dataset.ts';
import { ConfigError, DataError, MidasError, ShapeError } from '../../src/errors.ts';

const tiny = () => ({
  name: 'tiny',
  width: 2,
  height: 1,
  classNames: ['a', 'b'],
  images: Uint8Array.of(10, 20, 30, 40),
  labels: Uint32Array.of(1, 0),
  ids: ['b/1', 'a/1'],
});

/** A dataset of one-pixel images, `counts[k]` of class k, with the classes interleaved. */
const classesOf = (...counts: number[]) => {
  const labels: number[] = [];
  for (let round = 0; round < Math.max(...counts); round++) {
    counts.forEach((count, label) => {
      if (round < count) labels.push(label);
    });
  }
  return createDataset({
    name: 'counts',
    width: 1,
    height: 1,
    classNames: counts.map((_, label) => `s${label + 1}`),
    images: new Uint8Array(labels.length),
    labels: Uint32Array.from(labels),
    ids: labels.map((label, i) => `s${label + 1}/${i}`),
  });
};

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('a dataset of images', () => {
  test('a dataset is hashed over width, height, count, labels and pixels', async () => {
    // sha256 of the little-endian words 2 1 2 1 0 and the bytes 10 20 30 40, by Python's hashlib.
    const { sha256 } = await createDataset(tiny());
    expect(sha256).toBe('fd44ae6ae227aa603cea3273ea9371a4af64276c7435183c45b008382226dbf7');
  });

  test('the hash of a dataset changes with a pixel, a label or the shape, but not with names', async () => {
    const original = await datasetHash(tiny());
    const changed = [
      { images: Uint8Array.of(10, 20, 30, 41) },
      { labels: Uint32Array.of(0, 1) },
      { width: 1, height: 2 },
    ];
    for (const change of changed) expect(await datasetHash({ ...tiny(), ...change })).not.toBe(original);
    expect((await createDataset({ ...tiny(), name: 'other', ids: ['x', 'y'] })).sha256).toBe(original);
  });

  test('the hash of a colour dataset covers the number of channels', async () => {
    const colour = { ...tiny(), width: 1, height: 1, channels: 3 as const, images: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    const dataset = await createDataset(colour);
    // sha256 of the little-endian words 1 1 2 3 1 0 and the bytes 1 2 3 4 5 6, by Python's hashlib.
    expect(dataset.sha256).toBe('9b5aa2f6450fc55fd128af9e736643813dd5f9b96953f6f5bc42c6ac15273675');
    const wide = { ...colour, channels: 1 as const, width: 3 };
    expect((await createDataset(wide)).sha256).not.toBe(dataset.sha256);
    await expect(createDataset({ ...colour, width: 2 })).rejects.toThrow(/2 labels of 2x1 RGB images/);
  });

  test('floats and the mean of colour images keep the channels of a pixel together', async () => {
    const images = Uint8Array.of(255, 0, 51, 0, 255, 51);
    const dataset = await createDataset({ ...tiny(), width: 1, height: 1, channels: 3, images });
    expect(toFloat(dataset, [1])).toEqual(Float32Array.of(0, 1, 51 / 255));
    expect(meanImage(dataset, [0, 1])).toEqual(Float32Array.of(0.5, 0.5, 51 / 255));
  });

  test('a dataset cannot be hashed on an insecure page, and the message says what to do', async () => {
    vi.stubGlobal('crypto', {});
    await expect(datasetHash(tiny())).rejects.toThrow(MidasError);
    await expect(datasetHash(tiny())).rejects.toThrow(/https/);
  });

  test('a dataset refuses parts of different counts and labels without a class', async () => {
    await expect(createDataset({ ...tiny(), images: new Uint8Array(3) })).rejects.toThrow(ShapeError);
    await expect(createDataset({ ...tiny(), ids: ['b/1'] })).rejects.toThrow(ShapeError);
    const bad = createDataset({ ...tiny(), labels: Uint32Array.of(1, 2) });
    await expect(bad).rejects.toThrow(DataError);
    await expect(bad).rejects.toThrow(/a\/1 has label 2/);
  });

  test('the pixels of a dataset are averaged and scaled to 0..1', async () => {
    const dataset = await createDataset(tiny());
    expect(meanImage(dataset, [0, 1])).toEqual(Float32Array.of(20 / 255, 30 / 255));
    expect(toFloat(dataset, [1])).toEqual(Float32Array.of(30 / 255, 40 / 255));
  });

  test('a dataset refuses indices out of range and an empty average', async () => {
    const dataset = await createDataset(tiny());
    for (const index of [2, -1, 0.5]) expect(() => toFloat(dataset, [index])).toThrow(DataError);
    expect(() => toFloat(dataset, [7])).toThrow(/index 7 is not in 0\.\.1/);
    expect(() => meanImage(dataset, [])).toThrow(DataError);
  });
});

describe('a seeded split', () => {
  test('a seeded split takes the same number from every class and puts every image into one part', async () => {
    const dataset = await classesOf(10, 10, 12);
    const { train, test: held } = seededSplit(dataset, 7, 1);
    expect([...train, ...held].sort((a, b) => a - b)).toEqual([...dataset.ids.keys()]);
    for (const label of [0, 1, 2]) expect(train.filter((i) => dataset.labels[i] === label).length).toBe(7);
    expect([...train]).toEqual([...train].sort((a, b) => a - b));
  });

  test('a seeded split is the same for the same seed and differs for another seed', async () => {
    const dataset = await classesOf(10, 10);
    expect(seededSplit(dataset, 5, 3)).toEqual(seededSplit(dataset, 5, 3));
    expect(seededSplit(dataset, 5, 3).train).not.toEqual(seededSplit(dataset, 5, 4).train);
  });

  test('a seeded split takes a rounded share of every class, with at least one image in either part', async () => {
    const dataset = await classesOf(10, 5, 2);
    const { train } = seededSplit(dataset, 0.7, 0);
    const sizes = [0, 1, 2].map((label) => train.filter((i) => dataset.labels[i] === label).length);
    expect(sizes).toEqual([7, 4, 1]);
    const most = seededSplit(dataset, 0.99, 0).train.filter((i) => dataset.labels[i] === 2);
    expect(most.length).toBe(1);
  });

  test('a seeded split puts every image into training for some seed', async () => {
    const dataset = await classesOf(4, 4);
    const seen = new Set(Array.from({ length: 50 }, (_, seed) => [...seededSplit(dataset, 1, seed).train]).flat());
    expect(seen.size).toBe(8);
  });

  test('a seeded split refuses a class too small to leave a test image, and meaningless numbers', async () => {
    const small = await classesOf(10, 7);
    expect(() => seededSplit(small, 7, 0)).toThrow(DataError);
    expect(() => seededSplit(small, 7, 0)).toThrow(/class s2 has 7 images.*at least 8/);
    const single = await classesOf(2, 1);
    expect(() => seededSplit(single, 0.7, 0)).toThrow(/class s2 has 1 images.*at least 2/);
    const several = await classesOf(2, 1, 3, 1, 1);
    expect(() => seededSplit(several, 0.7, 0)).toThrow(
      'class s2 has 1 images, a split with 1 for training needs at least 2, and so do 2 other classes; ',
    );
    for (const wanted of [0, -1, 1.5, Number.NaN]) expect(() => seededSplit(small, wanted, 0)).toThrow(ConfigError);
    expect(() => seededSplit(small, 1, -1)).toThrow(ConfigError);
  });
});
