import { beforeAll, describe, expect, it } from 'vitest';
import { datasetHash, type ImageDataset, meanImage, toFloat } from '../../src/data/dataset.ts';
import { type RenderFacesOptions, renderFaces } from '../../src/data/render_faces.ts';
import { pcc } from '../../src/metrics/similarity.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
const SMALL: RenderFacesOptions = {
  population: 'private',
  identities: 3,
  photographs: 2,
  width: 28,
  height: 32,
  seed: 5,
};
const render = (options: Partial<RenderFacesOptions> = {}) => renderFaces(device.gpu, { ...SMALL, ...options });
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Pixels of the images `from` .. `to` (exclusive). */
function slice({ images, width, height }: ImageDataset, from: number, to: number): Uint8Array {
  return images.subarray(from * width * height, to * width * height);
}

it('rendered faces have names, labels and a hash', async () => {
  const faces = await render({ firstIdentity: 7 });
  expect(faces).toMatchObject({
    name: 'faces-private',
    width: 28,
    height: 32,
    classNames: ['private-7', 'private-8', 'private-9'],
    labels: Uint32Array.of(0, 0, 1, 1, 2, 2),
  });
  expect(faces.ids.slice(0, 3)).toEqual(['private-7/0', 'private-7/1', 'private-8/0']);
  expect(faces.images).toHaveLength(6 * 28 * 32);
  expect(faces.sha256).toBe(await datasetHash(faces));
});

it('rendered faces have the same pixels again, and others for another seed or population', async () => {
  const [first, second, seed, population] = [
    await render(),
    await render(),
    await render({ seed: 6 }),
    await render({ population: 'public' }),
  ];
  expect(second.sha256).toBe(first.sha256);
  expect(seed.sha256).not.toBe(first.sha256);
  expect(population.sha256).not.toBe(first.sha256);
});

describe('a photograph does not depend on its set', () => {
  it.each([64, 100, 1000, 3000])('a photograph is the same in submits of %i pixels', async (pixelsPerSubmit) => {
    const whole = await render();
    expect((await render({ pixelsPerSubmit })).images).toEqual(whole.images);
  });

  it('a photograph is the same whichever people come before it in the set', async () => {
    const whole = await render();
    const rest = await render({ firstIdentity: 1, identities: 2 });
    expect(rest.images).toEqual(slice(whole, 2, 6));
  });

  it('a photograph is the same whether or not more photographs are taken', async () => {
    const whole = await render({ identities: 1 });
    const more = await render({ identities: 1, photographs: 5 });
    expect(slice(more, 0, 2)).toEqual(whole.images);
  });
});

describe('sizes of rendered images', () => {
  it.each([
    [9, 9],
    [13, 17],
    [30, 33],
    [8, 50],
    [57, 11],
  ])('%i x %i: words that span rows and images hold the right pixels', async (width, height) => {
    const all = await render({ width, height, identities: 3, photographs: 3 });
    // A photograph alone begins at a word; in a set, photographs of an odd size begin anywhere in a word.
    const alone = await render({ width, height, identities: 1, photographs: 3, firstIdentity: 2 });
    expect(all.images).toHaveLength(9 * width * height);
    expect(slice(all, 6, 9)).toEqual(alone.images);
    const chunked = await render({ width, height, identities: 3, photographs: 3, pixelsPerSubmit: 68 });
    expect(chunked.images).toEqual(all.images);
  });

  it('a larger image shows the same face', async () => {
    const small = await render({ identities: 1, width: 28, height: 32 });
    const large = await render({ identities: 1, width: 56, height: 64 });
    const halved = Float32Array.from({ length: 28 * 32 }, (_, i) => {
      const at = Math.floor(i / 28) * 2 * 56 + (i % 28) * 2;
      return (large.images[at] + large.images[at + 1] + large.images[at + 56] + large.images[at + 57]) / 4;
    });
    expect(pcc(halved, Float32Array.from(slice(small, 0, 1)))).toBeGreaterThan(0.97);
  });
});

it('rendering reports its progress up to the whole', async () => {
  const seen: number[] = [];
  await render({ pixelsPerSubmit: 1000, onProgress: (finished, total) => seen.push(finished / total) });
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(seen.length).toBeGreaterThan(3);
  expect(seen.at(-1)).toBe(1);
});

describe('a rendered set of faces', () => {
  const people = 20;
  const photographs = 6;
  let faces: ImageDataset;
  let images: Float32Array[];
  beforeAll(async () => {
    faces = await renderFaces(device.gpu, { ...SMALL, identities: people, photographs, width: 56, height: 64 });
    const floats = toFloat(faces, [...faces.labels.keys()]);
    images = Array.from(faces.labels, (_, i) => floats.slice(i * 56 * 64, (i + 1) * 56 * 64));
  });

  it('a rendered set has no blank, burnt-out or repeated image', () => {
    for (const image of images) {
      const level = mean([...image]);
      const deviation = Math.sqrt(mean([...image].map((value) => (value - level) ** 2)));
      expect(level).toBeGreaterThan(0.2);
      expect(level).toBeLessThan(0.7);
      expect(deviation).toBeGreaterThan(0.05);
      expect(image.filter((value) => value === 0 || value === 1).length).toBeLessThan(0.02 * image.length);
    }
    expect(new Set(images.map((image) => image.join())).size).toBe(images.length);
  });

  it('photographs of a person are more alike than those of different people', () => {
    const own: number[] = [];
    const other: number[] = [];
    images.forEach((a, i) => {
      for (let j = 0; j < i; j++) (faces.labels[i] === faces.labels[j] ? own : other).push(pcc(a, images[j]));
    });
    expect(mean(own)).toBeGreaterThan(0.6);
    expect(mean(own)).toBeLessThan(0.85);
    expect(mean(other)).toBeGreaterThan(0.25);
    expect(mean(other)).toBeLessThan(0.55);
  });

  it('the mean face looks like everybody, and class means look more like their own people', () => {
    const average = meanImage(faces, [...images.keys()]);
    const toAverage = mean(images.map((image) => pcc(average, image)));
    const classMeans = Array.from({ length: people }, (_, person) =>
      meanImage(
        faces,
        Array.from({ length: photographs }, (_, i) => person * photographs + i),
      ),
    );
    const toOwn = mean(images.map((image, i) => pcc(classMeans[faces.labels[i]], image)));
    expect(toAverage).toBeGreaterThan(0.5);
    expect(toAverage).toBeLessThan(0.75);
    expect(toOwn).toBeGreaterThan(0.8);
    expect(toOwn).toBeLessThan(0.95);
  });
});
