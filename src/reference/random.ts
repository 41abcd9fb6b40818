/** Float64 references of shaders/common/normal.wgsl, shaders/initialize.wgsl, shaders/image/corrupt.wgsl and erase.wgsl. */
import type { ImageSizeInput } from '../image_size.ts';
import { corruptionStream, ERASE_ATTEMPTS, ERASE_RATIO, type Erasing, eraseStream } from '../kernels/batch.ts';
import { INITIALIZE_STREAM, type Initialization, initializationScale } from '../kernels/initialize.ts';
import { pcg4d } from '../memory/hash.ts';

/** Two standard normal numbers from two u32 words (Box and Muller 1958). */
export function standardNormals(x: number, y: number): [number, number] {
  const r = Math.sqrt(-2 * Math.log(((x >>> 8) + 1) / 2 ** 24));
  const quadrant = y >>> 30;
  const angle = (Math.PI / 2) * (quadrant + ((y >>> 8) & 0x3fffff) / 2 ** 22);
  return [r * Math.cos(angle), r * Math.sin(angle)];
}

/** Returns initial weights, rows x columns without padding. */
export function initialize(
  initialization: Initialization,
  seed: number,
  tensor: number,
  rows: number,
  columns: number,
): Float64Array {
  const scale = initializationScale(initialization);
  return Float64Array.from({ length: rows * columns }, (_, i) => {
    const words = pcg4d(i, tensor ^ INITIALIZE_STREAM, seed % 2 ** 32, Math.floor(seed / 2 ** 32));
    if (initialization.kind === 'constant') return scale;
    if (initialization.kind === 'uniform') return scale * ((words[0] >>> 8) / 2 ** 23 - 1);
    return scale * standardNormals(words[0], words[1])[0];
  });
}

/** Adds normal noise to a batch of images. @param images index in the data set of each row */
export function corrupt(
  x: ArrayLike<number>,
  images: ArrayLike<number>,
  deviation: number,
  seed: number,
  draw: number,
): Float64Array {
  const columns = x.length / images.length;
  const stream = corruptionStream(seed);
  return new Float64Array(x).map((value, i) => {
    const column = i % columns;
    const words = pcg4d(Math.floor(column / 4), images[Math.floor(i / columns)], draw, stream);
    const pair = column % 4 < 2 ? standardNormals(words[0], words[1]) : standardNormals(words[2], words[3]);
    return value + deviation * pair[column % 2];
  });
}

/** The rectangle of an image that is erased, the ends exclusive; undefined if nothing is. */
export function erasedRectangle(
  image: number,
  { probability, least, most, height, width }: Erasing & ImageSizeInput,
  seed: number,
  draw: number,
): { readonly top: number; readonly left: number; readonly bottom: number; readonly right: number } | undefined {
  const stream = eraseStream(seed);
  const words = (attempt: number) => pcg4d(2 ** 32 - 1 - attempt, image, draw, stream);
  if (fraction(words(ERASE_ATTEMPTS)[0]) >= probability) return undefined;
  for (let attempt = 0; attempt < ERASE_ATTEMPTS; attempt++) {
    const [size, shape, y, x] = words(attempt);
    const area = (least + (most - least) * fraction(size)) * height * width;
    const ratio = ERASE_RATIO + (1 / ERASE_RATIO - ERASE_RATIO) * fraction(shape);
    const [tall, wide] = [Math.round(Math.sqrt(area * ratio)), Math.round(Math.sqrt(area / ratio))];
    if (tall >= height || wide >= width) continue;
    const [top, left] = [(y >>> 8) % (height - tall + 1), (x >>> 8) % (width - wide + 1)];
    return { top, left, bottom: top + tall, right: left + wide };
  }
  return undefined;
}

/** Erases rectangles of a batch of images. @param images index in the data set of each row */
export function erase(
  x: ArrayLike<number>,
  images: ArrayLike<number>,
  options: Erasing & ImageSizeInput,
  seed: number,
  draw: number,
): Float64Array {
  const { width, channels = 1 } = options;
  const columns = x.length / images.length;
  const rectangles = Array.from(images, (image) => erasedRectangle(image, options, seed, draw));
  return new Float64Array(x).map((value, i) => {
    const column = i % columns;
    const image = Math.floor(i / columns);
    const area = rectangles[image];
    const [row, at] = [Math.floor(column / channels / width), Math.floor(column / channels) % width];
    if (!area || row < area.top || row >= area.bottom || at < area.left || at >= area.right) return value;
    return fraction(pcg4d(Math.floor(column / 4), images[image], draw, eraseStream(seed))[column % 4]);
  });
}

const fraction = (word: number) => (word >>> 8) / 2 ** 24;
