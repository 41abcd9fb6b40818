import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { describe, expect, test } from 'vitest';
import { toGray } from '../../src/data/image_ops.ts';
import { CASES, caseFile, decode, refusal } from '../support/images.ts';

/** Gray levels by which a decoded image may differ from what Pillow makes of it. */
const TOLERANCE = 2;

/** What the messages about the other files say. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  'jpeg/cut-half.jpg': /truncated JPEG/,
  'jpeg/cut-half-with-end.jpg': /premature end of data/,
  'jpeg/cut-last-10.jpg': /truncated JPEG/,
  'jpeg/leading-newline.jpg': /an image after stray bytes/,
  'jpeg/no-eoi.jpg': /truncated JPEG/,
  'jpeg/only-soi.jpg': /truncated JPEG/,
  'pgm/bitmap.pbm': /a PBM image \(black and white\), not PNG, JPEG, PGM or PPM; convert it/,
  'pgm/maxval0.pgm': /byte 8: the maximum value is 0; it must be 1\.\.65535/,
  'pgm/pam.pam': /a PAM image, not PNG, JPEG, PGM or PPM; convert it/,
  'picture-bombs/jpg-6300-3comp-sub.jpg': /truncated JPEG/,
  'picture-bombs/jpg-65500-header.jpg': /65500x65500, more than 40000000 pixels/,
  'picture-bombs/jpg-dht-bad.jpg': /Bogus Huffman table/,
  'picture-bombs/pgm-huge.pgm': /99999x99999, more than 40000000 pixels/,
  'picture-bombs/png-0x5.png': /0x5; it needs at least one pixel/,
  'picture-bombs/png-4GB-chunk.png': /image data is not compressed as PNG demands/,
  'picture-bombs/png-6324-empty.png': /its image data is missing/,
  'picture-bombs/png-palette-missing.png': /colour 0 of a palette of 0/,
  'png/bad-crc-text.png': /checksum of its chunk tEXt is wrong/,
  'png/cut.png': /image data ends after \d+ of 5124 bytes/,
};

const files = ['jpeg', 'pgm', 'picture-bombs', 'png'].flatMap((kind) =>
  readdirSync(join(CASES, kind)).map((name) => `${kind}/${name}`),
);
const golden = (file: string) => join(CASES, 'goldens', `${file}.png`);

describe('image files as they occur', () => {
  test.each(files.filter((file) => !REFUSED[file]))('the pixels of %s are those of Pillow', async (file) => {
    const image = toGray(await decode(caseFile(file), file));
    const { width, height, data } = PNG.sync.read(Buffer.from(caseFile(`goldens/${file}.png`)));
    expect([image.width, image.height]).toEqual([width, height]);
    const largest = image.pixels.reduce((most, pixel, i) => Math.max(most, Math.abs(pixel - data[4 * i])), 0);
    expect(largest).toBeLessThanOrEqual(TOLERANCE);
  });

  test.each(Object.entries(REFUSED))('the file %s is refused with its reason', async (file, reason) => {
    expect(existsSync(golden(file))).toBe(false);
    expect(await refusal(caseFile(file))).toMatch(reason);
  });
});
