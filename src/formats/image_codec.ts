/** Decodes image files. Their pixels go through data/image_ops.ts before an experiment uses them. */
import { DataError } from '../errors.ts';
import { foreignFormat } from './foreign.ts';
import type { DecodedImage } from './image.ts';
import { decodeJpeg, type JpegDecoderSource } from './jpeg.ts';
import { decodePixelMap, isPixelMap } from './pgm.ts';
import { decodePng, PNG_START } from './png.ts';

/** The formats that decodeImage reads. */
export type ImageKind = 'png' | 'jpeg' | 'pixel map';

/** Tells the format of an image by its first bytes; undefined for a format that decodeImage does not read. */
export function imageKind(bytes: Uint8Array): ImageKind | undefined {
  if (PNG_START.every((byte, i) => bytes[i] === byte)) return 'png';
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return 'jpeg';
  return isPixelMap(bytes) ? 'pixel map' : undefined;
}

/**
 * Decodes a PNG, a JPEG, a PGM or a PPM, distinguished by their first bytes and not by the file's name, within two levels
 * of what Pillow gives. Alpha, transparent colours, gamma, profiles and orientation tags are ignored, as in Pillow; 16 bits
 * become 8; palettes become colours. CMYK becomes RGB.
 *
 * @param name the file, for messages
 * @param jpegDecoder compiles the decoder for JPEG; called for the first JPEG only
 * @throws DataError naming the file: empty, another format (which it names), truncated or damaged, more than 40 million
 *   pixels or a side of more than 32767
 */
export async function decodeImage(
  bytes: Uint8Array,
  name: string,
  jpegDecoder: JpegDecoderSource,
): Promise<DecodedImage> {
  if (bytes.length === 0) throw new DataError(`${name}: byte 0: the file is empty; fetch it again`);
  switch (imageKind(bytes)) {
    case 'png':
      return decodePng(bytes, name);
    case 'jpeg':
      return decodeJpeg(bytes, name, jpegDecoder);
    case 'pixel map':
      return decodePixelMap(bytes, name);
    default: {
      const { name: format, advice } = foreignFormat(bytes, 'image') ?? {
        name: 'a file of an unknown format',
        advice: 'fetch it again, convert it to PNG or remove it',
      };
      throw new DataError(`${name}: byte 0: ${format}, not PNG, JPEG, PGM or PPM; ${advice}`);
    }
  }
}
