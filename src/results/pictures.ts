/** Reconstructions as files that other tools read: NumPy arrays of bytes, [images, height, width]. */
import { DataError } from '../errors.ts';

const MAGIC = [0x93, ...new TextEncoder().encode('NUMPY'), 1, 0];

/** An NPY file, format 1.0 (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). */
function writeNpy(descr: string, shape: readonly number[], data: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const padding = 64 - ((MAGIC.length + 2 + text.length + 1) % 64 || 64);
  const header = new TextEncoder().encode(`${text}${' '.repeat(padding)}\n`);
  const file = new Uint8Array(MAGIC.length + 2 + header.length + data.length);
  file.set(MAGIC);
  new DataView(file.buffer).setUint16(MAGIC.length, header.length, true);
  file.set(header, MAGIC.length + 2);
  file.set(data, MAGIC.length + 2 + header.length);
  return file;
}

/** @param images [height, width] each, 0..1 */
export function encodePictures(
  images: readonly Float32Array[],
  width: number,
  height: number,
): Uint8Array<ArrayBuffer> {
  const pixels = new Uint8Array(images.length * width * height);
  images.forEach((image, i) => {
    for (let k = 0; k < width * height; k++) pixels[i * width * height + k] = Math.round(255 * image[k]);
  });
  return writeNpy('|u1', [images.length, height, width], pixels);
}

export interface StoredPictures {
  readonly width: number;
  readonly height: number;
  /** [height, width] each, 0..1. */
  readonly images: readonly Float32Array[];
}

/** @param name of the file. @throws DataError where it is not what {@link encodePictures} writes */
export function decodePictures(bytes: Uint8Array, name: string): StoredPictures {
  const length = bytes.length > 10 ? bytes[8] + 256 * bytes[9] : 0;
  const header = new TextDecoder().decode(bytes.subarray(10, 10 + length));
  const [, count, height, width] = /'\|u1'.*'shape': \((\d+), (\d+), (\d+)\)/.exec(header)?.map(Number) ?? [];
  const pixels = bytes.subarray(10 + length);
  if (!MAGIC.every((byte, i) => bytes[i] === byte) || pixels.length !== count * height * width) {
    throw new DataError(`${name}: it holds no pictures; run again without --resume`);
  }
  const size = width * height;
  const images = Array.from({ length: count }, (_, i) =>
    Float32Array.from(pixels.subarray(i * size, (i + 1) * size), (byte) => byte / 255),
  );
  return { width, height, images };
}
