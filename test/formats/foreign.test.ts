import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { foreignFormat } from '../../src/formats/foreign.ts';
import { caseFile, concat, refusal, text } from '../support/images.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);
const latin = (value: string) => Uint8Array.from(value, (character) => character.charCodeAt(0));
const PICTURES = { 'a/1.png': bytes(1) };

/** Beginnings of files, and the name under which they are refused. */
const NAMES: readonly [string, Uint8Array][] = [
  ['a GIF image', text('GIF89a')],
  ['a WebP image', latin('RIFF\x10\0\0\0WEBPVP8 ')],
  ['a video or sound (RIFF)', latin('RIFF\x10\0\0\0AVI LIST')],
  ['a TIFF image', latin('II*\0\x08\0\0\0')],
  ['a TIFF image', latin('MM\0*\0\0\0\x08')],
  ['a HEIC image', latin('\0\0\0\x18ftypheic')],
  ['a HEIC image', latin('\0\0\0\x18ftypmif1')],
  ['an AVIF image', latin('\0\0\0\x1cftypavif')],
  ['a video (MP4)', latin('\0\0\0\x18ftypisom')],
  ['a JPEG XL image', latin('\xff\n\xfa')],
  ['a JPEG XL image', latin('\0\0\0\x0cJXL \r\n\x87\n')],
  ['a JPEG 2000 image', latin('\0\0\0\x0cjP  \r\n\x87\n')],
  ['a BMP image', latin('BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0')],
  ['an icon (ICO)', bytes(0, 0, 1, 0, 1, 0)],
  ['a Photoshop image', text('8BPS')],
  ['a PAM image', text('P7\nWIDTH 3')],
  ['a PBM image (black and white)', text('P1 2 1\n0 1')],
  ['a PFM image', text('Pf\n1 1\n-1.0\n')],
  ['an SVG drawing', text('<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="http://www.w3.org/2000/svg">')],
  ['a web page (HTML)', text('\ufeff\n<!DOCTYPE html>\n<html lang="en">')],
  ['a web page (HTML)', text('<HEAD><title>404</title>')],
  ['an XML file', text('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')],
  ['a JSON file', text('{"error": "not found"}')],
  ['a Git LFS pointer', text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n')],
  ['NumPy arrays (npz)', zipSync({ 'arr_0.npy': bytes(1) })],
  ['a PyTorch file', zipSync({ 'model/data.pkl': bytes(1) })],
  ['an archive (ZIP)', zipSync(PICTURES)],
  ['an archive (gzip)', bytes(0x1f, 0x8b, 8)],
  ['a NumPy array', latin('\x93NUMPY\x01\0')],
  ['a Python pickle', bytes(0x80, 2, 0x7d)],
  ['a safetensors file', latin('\x40\0\0\0\0\0\0\0{"a":')],
  ['a file of macOS (AppleDouble)', bytes(0, 5, 0x16, 7, 0, 2)],
  ['a file of macOS (.DS_Store)', latin('\0\0\0\x01Bud1')],
  ['a file of Windows (Thumbs.db or an old Office document)', bytes(0xd0, 0xcf, 0x11, 0xe0, 0xa1)],
  ['a text file', text('Dies ist kein Bild: äöü')],
  ['a text file', concat(bytes(0xff, 0xfe), Uint8Array.from([...'hallo'].flatMap((c) => [c.charCodeAt(0), 0])))],
  ['nothing but zero bytes', new Uint8Array(100)],
  ['an image after stray bytes', concat(text('\n'), caseFile('jpeg/gray.jpg'))],
  ['a PNG image that a transfer as text has damaged', latin('\x89PNG\n\x1a\n\0\0\0\r')],
];

describe('files of other formats', () => {
  test.each(NAMES)('%s is named when it is given as an image', async (name, start) => {
    expect(foreignFormat(start)?.name).toBe(name);
    expect(await refusal(start)).toContain(`byte 0: ${name}, not PNG, JPEG, PGM or PPM; `);
  });

  test('bytes of no known format have no name', () => {
    expect(foreignFormat(bytes(0xaa, 1, 2, 3))).toBeUndefined();
    expect(foreignFormat(text('BM is not always a bitmap'))?.name).toBe('a text file');
    expect(foreignFormat(text('P2P network'))?.name).toBe('a text file');
  });
});
