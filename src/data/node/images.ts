/** Reads image files. */
import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { DataError } from '../../errors.ts';
import type { DecodedImage } from '../../formats/image.ts';
import { decodeImage } from '../../formats/image_codec.ts';
import { fileError, readBytes } from './files.ts';

/** Bytes; 40 million pixels, written out as numbers of a plain PPM, need about as many. */
const MAX_FILE = 2 ** 29;

/**
 * Reads and decodes an image, as {@link decodeImage} does.
 *
 * @throws DataError when the file cannot be read, has more than 512 MiB or is not such an image
 */
export async function readImage(path: string): Promise<DecodedImage> {
  const { size } = await stat(path).catch((error) => {
    throw fileError('read', path, error);
  });
  if (size > MAX_FILE) throw new DataError(`${path}: ${size} bytes are too many for an image; remove it`);
  return decodeImage(await readBytes(path), path, compileJpegDecoder);
}

/** Compiles the decoder for JPEG from the package that contains it. */
export async function compileJpegDecoder(): Promise<WebAssembly.Module> {
  const path = createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm');
  return WebAssembly.compile(await readFile(path));
}
