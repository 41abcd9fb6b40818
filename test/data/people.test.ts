import { describe, expect, it } from 'vitest';
import { createDataset, type ImageDataset } from '../../src/data/dataset.ts';
import { augment, selectPeople } from '../../src/data/people.ts';
import { ConfigError } from '../../src/errors.ts';

const [WIDTH, HEIGHT] = [10, 12];

/** Two photographs of each of three people: horizontal ramps that are brighter from person to person. */
function people(): Promise<ImageDataset> {
  const labels = Uint32Array.of(0, 1, 2, 0, 1, 2);
  const pixels = WIDTH * HEIGHT;
  const images = Uint8Array.from(
    { length: labels.length * pixels },
    (_, i) => 60 + 40 * labels[Math.floor(i / pixels)] + 3 * (i % WIDTH) + Math.floor(i / pixels),
  );
  const ids = [...labels.keys()].map((i) => `photo ${i}`);
  return createDataset({ name: 'toy', width: WIDTH, height: HEIGHT, classNames: ['a', 'b', 'c'], images, labels, ids });
}

describe('selecting people of a dataset', () => {
  it('selected people keep their photographs and are labelled in the given order', async () => {
    const all = await people();
    const chosen = await selectPeople(all, [2, 0]);
    expect(chosen.classNames).toEqual(['c', 'a']);
    expect([...chosen.labels]).toEqual([1, 0, 1, 0]);
    expect(chosen.ids).toEqual(['photo 0', 'photo 2', 'photo 3', 'photo 5']);
    const pixels = WIDTH * HEIGHT;
    expect(chosen.images.subarray(pixels, 2 * pixels)).toEqual(all.images.subarray(2 * pixels, 3 * pixels));
    expect(chosen.sha256).not.toBe(all.sha256);
  });

  it('selecting a person whom the dataset does not have is refused', async () => {
    const all = await people();
    await expect(selectPeople(all, [0, 3])).rejects.toThrow(ConfigError);
    await expect(selectPeople(all, [3])).rejects.toThrow('toy: there is no person 3; it has 3 people');
  });
});

describe('augmentation of a dataset', () => {
  it('augmentation keeps every photograph and adds variations of it under its label', async () => {
    const all = await people();
    const varied = await augment(all, 3, 1);
    const pixels = WIDTH * HEIGHT;
    expect(varied.labels.length).toBe(24);
    for (let image = 0; image < 6; image++) {
      expect(varied.images.subarray(4 * image * pixels, (4 * image + 1) * pixels)).toEqual(
        all.images.subarray(image * pixels, (image + 1) * pixels),
      );
      for (let copy = 0; copy < 4; copy++) expect(varied.labels[4 * image + copy]).toBe(all.labels[image]);
    }
    const copies = Array.from({ length: 24 }, (_, i) => varied.images.subarray(i * pixels, (i + 1) * pixels).join());
    expect(new Set(copies).size).toBe(24);
    expect(varied.ids.slice(0, 3)).toEqual(['photo 0', 'photo 0~1', 'photo 0~2']);
  });

  it('augmentation changes all channels of a colour image alike', async () => {
    const gray = await people();
    const images = Uint8Array.from({ length: 3 * gray.images.length }, (_, i) => gray.images[Math.floor(i / 3)]);
    const colour = await createDataset({ ...gray, channels: 3, images });
    const [varied, expected] = [await augment(colour, 2, 7), await augment(gray, 2, 7)];
    expect(varied.images).toEqual(
      Uint8Array.from({ length: 3 * expected.images.length }, (_, i) => expected.images[Math.floor(i / 3)]),
    );
    const chosen = await selectPeople(colour, [1]);
    expect(chosen.channels).toBe(3);
    expect(chosen.images.length).toBe(2 * 3 * WIDTH * HEIGHT);
  });

  it('augmentation gives the same pixels for the same seed and others for another seed', async () => {
    const all = await people();
    const [first, again, other] = [await augment(all, 2, 5), await augment(all, 2, 5), await augment(all, 2, 6)];
    expect(again.sha256).toBe(first.sha256);
    expect(other.sha256).not.toBe(first.sha256);
    expect((await augment(all, 0, 5)).sha256).toBe(all.sha256);
  });

  it('augmentation changes a flat image in brightness only, because the edge is continued outwards', async () => {
    const flat = await createDataset({
      ...(await people()),
      images: new Uint8Array(6 * WIDTH * HEIGHT).fill(128),
    });
    const varied = await augment(flat, 8, 1);
    const pixels = WIDTH * HEIGHT;
    const levels = Array.from({ length: 54 }, (_, i) => {
      const image = varied.images.subarray(i * pixels, (i + 1) * pixels);
      expect(image.every((value) => value === image[0])).toBe(true);
      return image[0];
    });
    expect(Math.min(...levels)).toBeGreaterThanOrEqual(128 - 39);
    expect(Math.max(...levels)).toBeLessThanOrEqual(128 + 39);
    expect(new Set(levels).size).toBeGreaterThan(20);
  });

  it('augmentation refuses a number of copies that is not an integer', async () => {
    await expect(augment(await people(), 1.5, 1)).rejects.toThrow('augment: 1.5 is not a number of copies');
  });
});
