import { DataError } from '../errors.ts';
import type { Channels } from '../image_size.ts';

/** `pixels` is [height, width, channels], row-major, 8 bits. One channel is gray; three are red, green and blue. */
export interface DecodedImage {
  width: number;
  height: number;
  channels: Channels;
  pixels: Uint8Array;
}

/** Decoders need up to 18 bytes per pixel (JPEG in several scans), so that every image is decoded in less than 1 GB. */
const MAX_PIXELS = 40_000_000;
/** The longest side of a canvas in browsers. Longer images exist in crafted files only: each of their rows costs time. */
const MAX_SIDE = 32_767;

/**
 * Checks the size that a header states, before anything is allocated for it.
 *
 * @param name the file, for messages
 * @throws DataError for an empty image, more than 40 million pixels or a side longer than 32767 pixels
 */
export function checkImageSize(width: number, height: number, name: string): void {
  if (width === 0 || height === 0) {
    throw new DataError(`${name}: the image is ${width}x${height}; it needs at least one pixel`);
  }
  if (Math.max(width, height) > MAX_SIDE || width * height > MAX_PIXELS) {
    throw new DataError(
      `${name}: the image is ${width}x${height}, more than ${MAX_PIXELS} pixels or longer than ${MAX_SIDE}; make it smaller`,
    );
  }
}
