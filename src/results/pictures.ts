/** Reads and writes reconstructions as NPY files, one array per condition and attack. */

import { DataError, ShapeError } from '../errors.ts';
import { isNpy, readNpy, writeNpy } from '../formats/npy.ts';
import type { Channels } from '../image_size.ts';

export interface Pictures {
  readonly width: number;
  readonly height: number;
  /** Values per pixel: 1 for gray (default), 3 for red, green and blue. */
  readonly channels?: Channels;
  /** [height, width, channels] each, 0..1. */
  readonly images: readonly Float32Array[];
}

/**
 * An NPY file of uint8, [images, height, width] in gray and [images, height, width, 3] in colour: 0 is black, 255 is white, and
 * values outside 0..1 are clamped.
 *
 * @throws ShapeError if an image does not have `width * height * channels` values
 * @throws DataError if a value is NaN, which no byte can represent
 */
export function encodePictures({ width, height, channels = 1, images }: Pictures): Uint8Array<ArrayBuffer> {
  const size = width * height * channels;
  const data = new Uint8Array(images.length * size);
  for (const [i, image] of images.entries()) {
    if (image.length !== size) {
      throw new ShapeError(`picture ${i}: ${image.length} pixels for ${width} x ${height}, expected ${size}`);
    }
    for (const [k, value] of image.entries()) {
      if (Number.isNaN(value)) throw new DataError(`picture ${i}, pixel ${k} is not a number; leave the picture out`);
      data[i * size + k] = Math.round(255 * Math.min(Math.max(value, 0), 1));
    }
  }
  const shape = [images.length, height, width, ...(channels === 1 ? [] : [channels])];
  return writeNpy({ shape, data });
}

/**
 * Reads what {@link encodePictures} wrote.
 *
 * @param name of the file, for messages
 * @param gray size of a picture in files of earlier versions, which are raw bytes without a header
 * @throws DataError if the file has neither format
 */
export function decodePictures(bytes: Uint8Array, name: string, gray?: Pick<Pictures, 'width' | 'height'>): Pictures {
  const { shape, data } = isNpy(bytes) || !gray ? readNpy(bytes, name) : rawPictures(bytes, name, gray);
  const isColour = shape.length === 4 && shape[3] === 3;
  if (shape.length !== 3 && !isColour) {
    throw new DataError(`${name}: an array of ${shape.length} dimensions, expected 3, or 4 of which the last is 3`);
  }
  const [count, height, width] = shape;
  const channels = isColour ? 3 : 1;
  const size = width * height * channels;
  const images = Array.from({ length: count }, (_, i) =>
    Float32Array.from(data.subarray(i * size, (i + 1) * size), (byte) => byte / 255),
  );
  return { width, height, channels, images };
}

function rawPictures(data: Uint8Array, name: string, { width, height }: Pick<Pictures, 'width' | 'height'>) {
  const count = data.length / (width * height);
  if (!Number.isInteger(count) || count === 0) {
    throw new DataError(`${name}: ${data.length} bytes are not whole pictures of ${width} x ${height}`);
  }
  return { shape: [count, height, width], data };
}
