import { gzipSync, zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readTensorFile } from '../../src/formats/tensor_file.ts';
import { ascii } from '../support/pickles.ts';

const bytesOf = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
/** A tar archive whose first file has this name. */
const tar = (name: string) => {
  const bytes = new Uint8Array(1024);
  bytes.set(ascii(name));
  bytes.set(ascii('ustar'), 257);
  return bytes;
};

describe('files of other formats', () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['an empty file', new Uint8Array(0), /: an empty file, not a checkpoint; fetch it again/],
    ['a web page', bytesOf('\n <HTML><p>'), /: a web page, not a checkpoint; open the link/],
    ['a web page with a byte order mark', bytesOf('\u00ef\u00bb\u00bf<!doctype html>'), /: a web page/],
    [
      'a Git LFS pointer',
      bytesOf('version https://git-lfs.github.com/spec/v1\noid'),
      /: a Git LFS pointer, .*git lfs pull/,
    ],
    ['an answer of a server', bytesOf('{"error": "not found"}'), /: a JSON file, not a checkpoint/],
    ['an XML file', bytesOf('<?xml version="1.0"?><Error>'), /: an XML file/],
    ['a gzip file', gzipSync(bytesOf('x')), /: a gzip file, not a checkpoint; unpack it/],
    ['a pickle of another program', Uint8Array.of(0x80, 3, 0x7d, 0x2e), /: a pickle that torch\.save did not write/],
    ['a tar archive', tar('model/a.pth'), /: a tar archive, not a checkpoint; unpack it/],
    [
      'the first format of PyTorch',
      tar('sys_info'),
      /: a tar file, the first format of PyTorch, .*torch\.save\(torch\.load/,
    ],
    [
      'an npy array',
      bytesOf('\u0093NUMPY\u0001\u0000'),
      /: an array of NumPy \(npy\), not a checkpoint; save the weights/,
    ],
    ['an HDF5 file', bytesOf('\u0089HDF\r\n'), /: an HDF5 file, not a checkpoint; give a file of PyTorch/],
    [
      'an ONNX file',
      bytesOf('\b\u0007\u0012\u0007pytorch\u001a\u00052.0.1:'),
      /: an ONNX file, not a checkpoint; convert it with midas import, or give it as --victim$/,
    ],
    ['a picture', bytesOf('\u0089PNG\r\n\u001a\n'), /: a PNG image, not a checkpoint; give the right file/],
    ['an empty zip', zipSync({}), /: an empty zip/],
    ['a checkpoint in a zip', zipSync({ 'x/net.pth': Uint8Array.of(1) }), /: a zip that holds x\/net\.pth; unpack it/],
    ['an npz file', zipSync({ 'a.npy': Uint8Array.of(1) }), /: an npz file of NumPy/],
    ['a zip of other files', zipSync({ 'a.txt': Uint8Array.of(1) }), /no data\.pkl in this zip \(it holds a\.txt\)/],
    [
      'a TorchScript program',
      zipSync({ 'm/data.pkl': Uint8Array.of(0x80, 2, 0x4e, 0x2e), 'm/constants.pkl': Uint8Array.of(1) }),
      /: a TorchScript program, not a checkpoint/,
    ],
    ['an unknown file', bytesOf('\u00aa\u0001\u0002'), /: neither a PyTorch checkpoint nor a safetensors file/],
  ];

  test.each(cases)('the message says what it is: %s', (_, bytes, message) => {
    expect(() => readTensorFile(bytes, 'm.pth')).toThrow(DataError);
    expect(() => readTensorFile(bytes, 'm.pth')).toThrow(message);
    expect(() => readTensorFile(bytes, 'm.pth')).toThrow(/^m\.pth: [\x20-\x7e]+[;,] [\x20-\x7e]+$/);
  });
});
