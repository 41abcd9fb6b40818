/** A visitor's own files. They are read in the page and never sent anywhere. */

import jpegDecoderUrl from '@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm?url';
import { centreSquare, resize, withChannels } from '../data/image_ops.ts';
import { checkImageSize, type DecodedImage } from '../formats/image.ts';
import type { Channels } from '../image_size.ts';
import { byId, Gallery } from './dom.ts';
import type { ChosenFile, ChosenImage, Reply } from './protocol.ts';
import { describe } from './setting.ts';

const MOST = 64;

/** Reads the files of a file input. */
export async function chosenFiles(list: FileList | null): Promise<ChosenFile[]> {
  return Promise.all(
    [...(list ?? [])].map(async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })),
  );
}

/**
 * Images as the victim takes them: the middle square, gray or RGB, size x size.
 * @throws Error naming a file that is not an image
 */
export async function chosenImages(list: FileList | null, size: number, channels: Channels): Promise<ChosenImage[]> {
  const files = [...(list ?? [])].slice(0, MOST);
  return Promise.all(
    files.map(async (file) => {
      const { pixels } = resize(withChannels(centreSquare(await decode(file)), channels), size, size);
      return { name: file.name, pixels: Uint8Array.from(pixels) };
    }),
  );
}

/**
 * Decodes an image with the decoders of this project, so that pixels are those of the command line, and other formats with
 * the browser's. The decoders are loaded here, with the first image.
 */
async function decode(file: File): Promise<DecodedImage> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const { decodeImage, imageKind } = await import('../formats/image_codec.ts');
  const bitmap = imageKind(bytes) ? undefined : await createImageBitmap(file).catch(() => undefined);
  if (!bitmap) return decodeImage(bytes, file.name, compileJpegDecoder);
  const { width, height } = bitmap;
  checkImageSize(width, height, file.name);
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

export class UploadPanel {
  readonly #gallery = new Gallery(byId('own-faces'));

  show({ setting, names, rows }: Extract<Reply, { kind: 'own' }>): void {
    this.#gallery.clear();
    for (const [i, { label, pictures, pcc }] of rows.entries()) {
      const notes = pcc?.map((value) => `PCC ${value.toFixed(2).replace('-', '−')}`);
      const detail = i === 2 ? describe(setting) : undefined;
      this.#gallery.show({ id: String(i), label, detail, pictures, notes }, names);
    }
  }
}
