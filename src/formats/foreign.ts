/** Recognises, by their first bytes, files that users hand over by mistake, so that a message can name them. */

/** A format that is not read where it was found. */
export interface ForeignFormat {
  /** With its article: "a WebP image". */
  readonly name: string;
  /** What the user can do: "convert it to PNG". */
  readonly advice: string;
}

const CONVERT = 'convert it to PNG or remove it';
const REMOVE = 'remove it';
const FETCH = 'fetch the file itself again';
const EXTRACT = 'extract it and give what is inside';

/** First bytes as text of one character per byte, from an offset. A format with several parts needs all of them. */
const SIGNATURES: readonly [name: string, advice: string, ...parts: readonly [at: number, text: string][]][] = [
  ['a PNG image that a transfer as text has damaged', 'fetch it again as binary data', [0, '\x89PNG']],
  ['a GIF image', CONVERT, [0, 'GIF8']],
  ['a WebP image', CONVERT, [0, 'RIFF'], [8, 'WEBP']],
  ['a video or sound (RIFF)', REMOVE, [0, 'RIFF']],
  ['a TIFF image', CONVERT, [0, 'II*\0']],
  ['a TIFF image', CONVERT, [0, 'MM\0*']],
  ['a TIFF image', CONVERT, [0, 'II+\0']],
  ['a TIFF image', CONVERT, [0, 'MM\0+']],
  ['an AVIF image', CONVERT, [4, 'ftypavi']],
  ['a HEIC image', CONVERT, [4, 'ftyphe']],
  ['a HEIC image', CONVERT, [4, 'ftypmif1']],
  ['a HEIC image', CONVERT, [4, 'ftypmsf1']],
  ['a camera raw image (CR3)', CONVERT, [4, 'ftypcrx']],
  ['a video (MP4)', REMOVE, [4, 'ftyp']],
  ['a JPEG XL image', CONVERT, [0, '\xff\n']],
  ['a JPEG XL image', CONVERT, [0, '\0\0\0\x0cJXL ']],
  ['a JPEG 2000 image', CONVERT, [0, '\0\0\0\x0cjP  ']],
  ['a JPEG 2000 image', CONVERT, [0, '\xff\x4f\xff\x51']],
  ['a JPEG XR image', CONVERT, [0, 'II\xbc']],
  ['an icon (ICO)', CONVERT, [0, '\0\0\x01\0']],
  ['a Photoshop image', CONVERT, [0, '8BPS']],
  ['an OpenEXR image', CONVERT, [0, 'v/1\x01']],
  ['a Radiance HDR image', CONVERT, [0, '#?RADIANCE']],
  ['a QOI image', CONVERT, [0, 'qoif']],
  ['a DDS image', CONVERT, [0, 'DDS ']],
  ['a FITS image', CONVERT, [0, 'SIMPLE  =']],
  ['a DICOM image', CONVERT, [128, 'DICM']],
  ['an MNG or JNG image', CONVERT, [1, 'NG\r\n\x1a\n']],
  ['a PDF document', CONVERT, [0, '%PDF']],
  ['a PostScript document', CONVERT, [0, '%!PS']],
  ['a Git LFS pointer', 'run `git lfs pull` for the file itself', [0, 'version https://git-lfs.github.com/spec/']],
  ['a NumPy array', REMOVE, [0, '\x93NUMPY']],
  ['an HDF5 file', REMOVE, [0, '\x89HDF\r\n\x1a\n']],
  ['a Matlab file', REMOVE, [0, 'MATLAB ']],
  ['an archive (gzip)', EXTRACT, [0, '\x1f\x8b']],
  ['an archive (bzip2)', EXTRACT, [0, 'BZh']],
  ['an archive (xz)', EXTRACT, [0, '\xfd7zXZ\0']],
  ['an archive (zstd)', EXTRACT, [0, '\x28\xb5\x2f\xfd']],
  ['an archive (7-Zip)', EXTRACT, [0, '7z\xbc\xaf\x27\x1c']],
  ['an archive (RAR)', EXTRACT, [0, 'Rar!']],
  ['an archive (tar)', EXTRACT, [257, 'ustar']],
  ['a file of macOS (AppleDouble)', REMOVE, [0, '\0\x05\x16\x07']],
  ['a file of macOS (.DS_Store)', REMOVE, [0, '\0\0\0\x01Bud1']],
  ['a file of Windows (Thumbs.db or an old Office document)', REMOVE, [0, '\xd0\xcf\x11\xe0']],
  ['a program', REMOVE, [0, '\x7fELF']],
  ['a program', REMOVE, [0, 'MZ']],
];

/** Bytes from the start of a file that are looked at. */
const LOOKED_AT = 1024;

/**
 * Recognises a file that is neither PNG, JPEG, PGM, PPM nor a checkpoint of this project.
 *
 * @returns undefined when the bytes are of no known format
 */
export function foreignFormat(bytes: Uint8Array): ForeignFormat | undefined {
  const start = Array.from(bytes.subarray(0, LOOKED_AT), (byte) => String.fromCharCode(byte)).join('');
  const found = SIGNATURES.find(([, , ...parts]) => parts.every(([at, text]) => start.startsWith(text, at)));
  if (found) return { name: found[0], advice: found[1] };
  if (start.startsWith('PK\x03\x04')) return zipFormat(start);
  // The header of a bitmap follows its 14 bytes; the size of that header is one of a few.
  if (start.startsWith('BM') && [12, 40, 52, 56, 64, 108, 124].includes(bytes[14]) && bytes[15] === 0) {
    return { name: 'a BMP image', advice: CONVERT };
  }
  const netpbm = /^P([14]|7|[Ff])[\s#]/.exec(start)?.[1];
  if (netpbm) {
    const name = { '7': 'a PAM image', F: 'a PFM image', f: 'a PFM image' }[netpbm] ?? 'a PBM image (black and white)';
    return { name, advice: 'convert it to PGM, PPM or PNG' };
  }
  if (bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5) return { name: 'a Python pickle', advice: REMOVE };
  if (/^.{2}\0\0\0\0\0\0\{/s.test(start)) return { name: 'a safetensors file', advice: REMOVE };
  const image = ['\xff\xd8\xff', '\x89PNG\r\n', 'GIF8'].find((begin) => start.slice(0, 64).includes(begin));
  if (image) return { name: 'an image after stray bytes', advice: 'fetch it again' };
  return textFormat(bytes.subarray(0, LOOKED_AT));
}

function zipFormat(start: string): ForeignFormat {
  const firstName = start.slice(30, 30 + start.charCodeAt(26) + 256 * start.charCodeAt(27));
  if (firstName.endsWith('.npy')) return { name: 'NumPy arrays (npz)', advice: REMOVE };
  if (firstName.endsWith('/data.pkl')) return { name: 'a PyTorch file', advice: REMOVE };
  return { name: 'an archive (ZIP)', advice: EXTRACT };
}

function textFormat(bytes: Uint8Array): ForeignFormat | undefined {
  const isWide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  const encoding = isWide ? (bytes[0] === 0xff ? 'utf-16le' : 'utf-16be') : 'utf-8';
  const text = new TextDecoder(encoding).decode(bytes).trimStart();
  if (/<svg[\s>]/i.test(text)) return { name: 'an SVG drawing', advice: CONVERT };
  if (/^(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype html|html|head|body|title|script|meta)[\s>]/is.test(text)) {
    return { name: 'a web page (HTML)', advice: FETCH };
  }
  if (text.startsWith('<?xml')) return { name: 'an XML file', advice: FETCH };
  if (/^[{[]\s*["{[\]}\d]/.test(text)) return { name: 'a JSON file', advice: FETCH };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters tell binary files from text
  if (text !== '' && !/[\0-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]/.test(text.slice(0, -1))) {
    return { name: 'a text file', advice: FETCH };
  }
  return bytes.every((byte) => byte === 0) ? { name: 'nothing but zero bytes', advice: FETCH } : undefined;
}
