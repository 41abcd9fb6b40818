/** Decodes images of a visitor, in the page and in its worker. */
import jpegDecoderUrl from '@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm?url';
import { checkImageSize, type DecodedImage } from '../formats/image.ts';

/**
 * Decodes an image with the decoders of this project, so that pixels are those of the command line, and other formats with
 * the browser's. The decoders are loaded here, with the first image.
 * @throws DataError naming the file
 */
export async function decodeChosen(bytes: Uint8Array<ArrayBuffer>, name: string): Promise<DecodedImage> {
  const { decodeImage, imageKind } = await import('../formats/image_codec.ts');
  const kind = imageKind(bytes);
  const isOurs = kind !== undefined && (kind !== 'jpeg' || !(await isWasmRefused()));
  const bitmap = isOurs ? undefined : await createImageBitmap(new Blob([bytes])).catch(() => undefined);
  if (!bitmap) return decodeImage(bytes, name, compileJpegDecoder);
  const { width, height } = bitmap;
  checkImageSize(width, height, name);
  const context = new OffscreenCanvas(width, height).getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) pixels.set(data.subarray(4 * i, 4 * i + 3), 3 * i);
  return { width, height, channels: 3, pixels };
}

async function compileJpegDecoder(): Promise<WebAssembly.Module> {
  // Not compileStreaming, which needs a server that sends the right content type.
  return WebAssembly.compile(await (await fetch(jpegDecoderUrl)).arrayBuffer());
}

/** True where the Content-Security-Policy of the server forbids WebAssembly. */
async function isWasmRefused(): Promise<boolean> {
  const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  return WebAssembly.compile(empty).then(
    () => false,
    () => true,
  );
}
