/** A visitor's own files. They are read in the page and never sent anywhere. */
import { centreSquare, resize, toGray } from '../data/image_ops.ts';
import type { DecodedImage } from '../formats/image.ts';
import { decodePgm } from '../formats/pgm.ts';
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
 * Images as the victim takes them: the middle square, gray, size x size.
 * @throws Error naming a file that is not an image
 */
export async function chosenImages(list: FileList | null, size: number): Promise<ChosenImage[]> {
  const files = [...(list ?? [])].slice(0, MOST);
  return Promise.all(
    files.map(async (file) => {
      const { pixels } = resize(centreSquare(toGray(await decode(file))), size, size);
      return { name: file.name, pixels: Uint8Array.from(pixels) };
    }),
  );
}

/** Decodes an image with the browser's decoders, or with the decoder of this project for PGM, which browsers do not read. */
async function decode(file: File): Promise<DecodedImage> {
  if (/\.pgm$/i.test(file.name)) {
    return { ...decodePgm(new Uint8Array(await file.arrayBuffer()), file.name), channels: 1 };
  }
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name}: not an image that this browser reads`);
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) pixels.set(data.subarray(4 * i, 4 * i + 3), 3 * i);
  return { width, height, channels: 3, pixels };
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
