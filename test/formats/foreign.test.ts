import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { foreignFormat, isOnnx } from '../../src/formats/foreign.ts';
import { readTensorFile } from '../../src/formats/tensor_file.ts';
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
  ['a web page', text('\ufeff\n<!DOCTYPE html>\n<html lang="en">')],
  ['a web page', text('<HEAD><title>404</title>')],
  ['an XML file', text('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')],
  ['a JSON file', text('{"error": "not found"}')],
  ['a Git LFS pointer', text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n')],
  ['an npz file of NumPy', zipSync({ 'arr_0.npy': bytes(1) })],
  ['a PyTorch file', zipSync({ 'model/data.pkl': bytes(1) })],
  ['a zip archive', zipSync(PICTURES)],
  ['a gzip file', bytes(0x1f, 0x8b, 8)],
  ['an array of NumPy (npy)', latin('\x93NUMPY\x01\0')],
  ['a pickle that torch.save did not write', bytes(0x80, 2, 0x7d)],
  ['a safetensors file', latin('\x40\0\0\0\0\0\0\0{"a":')],
  ['a file of macOS (AppleDouble)', bytes(0, 5, 0x16, 7, 0, 2)],
  ['a file of macOS (.DS_Store)', latin('\0\0\0\x01Bud1')],
  ['a file of Windows (Thumbs.db or an old Office document)', bytes(0xd0, 0xcf, 0x11, 0xe0, 0xa1)],
  ['a text file', text('Dies ist kein Bild: äöü')],
  ['a text file', concat(bytes(0xff, 0xfe), Uint8Array.from([...'hallo'].flatMap((c) => [c.charCodeAt(0), 0])))],
  ['nothing but zero bytes', new Uint8Array(100)],
  ['an image after stray bytes', concat(text('\n'), caseFile('jpeg/gray.jpg'))],
  ['a PNG image that a transfer as text has damaged', latin('\x89PNG\n\x1a\n\0\0\0\r')],
  ['a PNG image that a transfer as text has damaged', latin('\x89PNG\r\r\n\x1a\r\n')],
  ['a damaged PNG image', latin('\x89PNG')],
];

/** UTF-16, lowest byte first. */
const wide = (value: string) => new Uint8Array(Buffer.from(value, 'utf16le'));
const COMMENTS = '<!-- a --><!-- b -->'.repeat(60);

/** Beginnings of files that are given as networks or as images, and their names. */
const FOR_BOTH: readonly [string, Uint8Array][] = [
  ['a TensorFlow Lite model', latin('\x1c\0\0\0TFL3')],
  ['an SQLite database', text('SQLite format 3\0')],
  ['a Matlab file', text('MATLAB 5.0 MAT-file, Platform: GLNXA64')],
  ['an HDF5 file', latin('\x89HDF\r\n\x1a\n')],
  ['a GGUF file of llama.cpp', text('GGUF')],
  ['a model of TensorFlow or Core ML', latin('\x08\x01\x12\xd0\x01\n\x20')],
  ['a model of TensorFlow or Core ML', latin('\x08\x04\x12\x10\n\x05image')],
  ['a graph of TensorFlow', latin('\n\x2f\n\x05input\x12\x0bPlaceholder')],
  ['a network of Caffe', latin('\n\x05LeNet\xa2\x06\x10')],
  ['a MessagePack file, as Flax writes it', latin('\x81\xa6params\x82')],
  ['a model of Keras', zipSync({ 'metadata.json': text('{}'), 'config.json': text('{}') }, { level: 0 })],
  ['an Office document', zipSync({ '[Content_Types].xml': text('<Types/>') })],
  ['a program of torch.export', zipSync({ 'net/archive_format': text('pt2'), 'net/a.pt': bytes(1) }, { level: 0 })],
  ['a pickle that torch.save did not write', text('(dp0\nVa\np1\n(lp2\nF1.0\nas.')],
  ['a pickle that torch.save did not write', text('ccopy_reg\n_reconstructor\np0\n(')],
  ['a pickle that torch.save did not write', latin('}q\0X\x01\0\0\0a')],
  ['a PyTorch file of pickle protocol 0', text('L119547037146038801333356L\n.')],
  ['a web page', text('\ufeff\n<!-- saved from url=(0014)about:internet -->\n<!DOCTYPE html><html>')],
  ['a web page', text('<html><body><svg width="1"></svg></body></html>')],
  ['a web page', text('<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">')],
  ['a Git LFS pointer', text('\ufeffversion https://git-lfs.github.com/spec/v1\r\noid sha256:00\r\nsize 5\r\n')],
  ['a web page', wide('\ufeff<html>')],
  ['an SVG drawing', text('<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN">')],
  ['an XML file', text('<Error><Code>AccessDenied</Code></Error>')],
  ['an HTML or XML file', text(COMMENTS)],
  ['a JSON file', wide('\ufeff{"a":1}')],
  ['a JSON file', wide('{"a":1}')],
  ['a JSON file', concat(bytes(0xfe, 0xff, 0), wide('[1, 2]').subarray(0, -1))],
  ['a text file', text('Not Found')],
  ['a text file', latin('Zugriff verweigert f\xfcr Sie')],
  ['a text file', text("{'a': 1}")],
  ['a text file', text('<?php echo 1;')],
  ['a text file', text('[1] Introduction')],
  ['a JSON file', text('[[1.5e-3, 2]]')],
  ['a text file', text(' \n')],
  ['a zip after stray bytes', concat(text('\r\n'), zipSync(PICTURES))],
];

/** Beginnings of images, which are given as networks, and their names. */
const IMAGES: readonly [string, Uint8Array][] = [
  ['a PNG image', caseFile('png/gray.png')],
  ['a JPEG image', caseFile('jpeg/gray.jpg')],
  ['a PGM or PPM image', text('P5 2 2 255\n')],
];

describe('files of other formats', () => {
  test.each([...FOR_BOTH, ...NAMES.slice(0, 10)])('%s is named, as an image and as a network', (name, start) => {
    expect(foreignFormat(start, 'image')?.name).toBe(name);
    expect(() => readTensorFile(start, 'm.pth')).toThrow(`m.pth: ${name}`);
    expect(() => readTensorFile(start, 'm.pth')).toThrow(', not a checkpoint; ');
  });

  test.each(IMAGES)('%s is named when it is given as a network', (name, start) => {
    expect(() => readTensorFile(start, 'm.pth')).toThrow(`m.pth: ${name}, not a checkpoint; give the right file`);
  });

  test('ONNX files are told from other protocol buffers', () => {
    expect(isOnnx(latin('\x08\x07\x12\x07pytorch'))).toBe(true);
    expect(isOnnx(latin('\x08\x08\x12\0\x1a\0'))).toBe(true);
    expect(isOnnx(latin('\x08\x04\x12\x10\n\x05image'))).toBe(false);
    expect(isOnnx(latin('\x08\x01\x12\0'))).toBe(false);
  });

  test.each(NAMES)('%s is named when it is given as an image', async (name, start) => {
    expect(foreignFormat(start, 'image')?.name).toBe(name);
    expect(await refusal(start)).toContain(`byte 0: ${name}, not PNG, JPEG, PGM or PPM; `);
  });

  test('bytes of no known format have no name', () => {
    expect(foreignFormat(bytes(0xaa, 1, 2, 3), 'image')).toBeUndefined();
    expect(foreignFormat(bytes(0xaa, 0xbb, 0xcc, 0xdd), 'network')).toBeUndefined();
    expect(foreignFormat(text('BM is not always a bitmap'), 'image')?.name).toBe('a text file');
    expect(foreignFormat(text('P2P network'), 'image')?.name).toBe('a text file');
  });
});
