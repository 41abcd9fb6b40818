/** Float64 references of shaders/common/normal.wgsl, shaders/initialize.wgsl and shaders/image/corrupt.wgsl. */
import { corruptionStream } from '../kernels/batch.ts';
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
