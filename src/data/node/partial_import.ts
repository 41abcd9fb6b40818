/** The finished images of an import on disk, so that an import that was stopped does not decode them again. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { fileError } from './files.ts';

/** Bytes of the checksum before each image. */
const CHECKSUM = 16;

/**
 * A file with one slot per image: a checksum over the image and over what it depends on, then its pixels. A slot that was
 * never written, was written partly, or belongs to another file is told by its checksum.
 */
export class PartialImport {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #slot: number;

  private constructor(path: string, file: FileHandle, slot: number) {
    this.#path = path;
    this.#file = file;
    this.#slot = slot;
  }

  /**
   * Opens the file, or makes it.
   *
   * @param count number of images
   * @param pixels bytes of an image
   * @throws DataError
   */
  static async open(path: string, count: number, pixels: number): Promise<PartialImport> {
    try {
      const file = await open(path, 'a').then((made) => made.close().then(() => open(path, 'r+')));
      const slot = CHECKSUM + pixels;
      await file.truncate(count * slot);
      return new PartialImport(path, file, slot);
    } catch (error) {
      throw fileError('write', path, error);
    }
  }

  /**
   * Reads an image into `target`.
   *
   * @param stamp what the image depends on
   * @returns false if there is no such image; `target` then has any content
   * @throws DataError
   */
  async read(index: number, stamp: string, target: Uint8Array): Promise<boolean> {
    const slot = new Uint8Array(this.#slot);
    try {
      await this.#file.read(slot, 0, slot.length, index * slot.length);
    } catch (error) {
      throw fileError('read', this.#path, error);
    }
    const pixels = slot.subarray(CHECKSUM);
    if (Buffer.compare(slot.subarray(0, CHECKSUM), checksum(stamp, pixels)) !== 0) return false;
    target.set(pixels);
    return true;
  }

  /** Writes an image. @throws DataError */
  async write(index: number, stamp: string, pixels: Uint8Array): Promise<void> {
    try {
      await this.#file.write(Buffer.concat([checksum(stamp, pixels), pixels]), 0, this.#slot, index * this.#slot);
    } catch (error) {
      throw fileError('write', this.#path, error);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function checksum(stamp: string, pixels: Uint8Array): Uint8Array {
  return createHash('sha256').update(stamp).update('\0').update(pixels).digest().subarray(0, CHECKSUM);
}
