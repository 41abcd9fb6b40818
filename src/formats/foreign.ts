/** Tells by its first bytes what a file is that users hand over by mistake, so that a message can name it. */
// biome-ignore-all lint/suspicious/noControlCharactersInRegex: control characters tell binary files from text

/** A format that is not read where it was found. */
export interface ForeignFormat {
  /** With its article: "a WebP image". */
  readonly name: string;
  /** What the user can do: "convert it to PNG or remove it". */
  readonly advice: string;
}

/** What the file was taken for. */
type Wanted = 'image' | 'network';

const REMOVE = 'remove it';
const GIVE = 'give the right file';
const UNPACK = 'unpack it and give what is inside';

/** What the user can do with a file of some kind: where an image was wanted, and where a network was. */
const ADVICE = {
  image: ['convert it to PNG or remove it', GIVE],
  netpbm: ['convert it to PGM, PPM or PNG', GIVE],
  other: [REMOVE, GIVE],
  empty: ['fetch it again', 'fetch it again'],
  damaged: ['fetch it again as binary data', 'fetch it again as binary data'],
  failed: ['fetch the file itself again', `${GIVE}, or fetch it again`],
  page: ['fetch the file itself again', 'open the link in a browser and save the file'],
  pointer: ['fetch the file itself: git lfs pull', 'fetch the file itself: git lfs pull'],
  archive: [UNPACK, UNPACK],
  network: [REMOVE, 'convert it with midas import'],
  onnx: [REMOVE, 'convert it with midas import, or give it as --victim'],
  model: [REMOVE, 'give a file of PyTorch, safetensors or ONNX'],
  arrays: [REMOVE, 'save the weights with torch.save'],
  pickle: [REMOVE, 'save the weights with torch.save(model.state_dict(), file)'],
  old: [REMOVE, 'save it again with a current PyTorch: torch.save(torch.load(file), file)'],
} as const satisfies Record<string, readonly [image: string, network: string]>;

type Kind = keyof typeof ADVICE;

/** First bytes as text of one character per byte, from an offset. A format with several parts needs all of them. */
const SIGNATURES: readonly [kind: Kind, name: string, ...parts: readonly (readonly [at: number, text: string])[]][] = [
  ['image', 'a PNG image', [0, '\x89PNG\r\n\x1a\n']],
  ['damaged', 'a PNG image that a transfer as text has damaged', [0, '\x89PNG\n']],
  ['damaged', 'a PNG image that a transfer as text has damaged', [0, '\x89PNG\r\r']],
  ['damaged', 'a PNG image that a transfer as text has damaged', [0, '\tPNG']],
  ['damaged', 'a PNG image that a transfer as text has damaged', [0, '\xef\xbf\xbdPNG']],
  ['damaged', 'a damaged PNG image', [0, '\x89PNG']],
  ['image', 'a JPEG image', [0, '\xff\xd8\xff']],
  ['image', 'a GIF image', [0, 'GIF8']],
  ['image', 'a WebP image', [0, 'RIFF'], [8, 'WEBP']],
  ['other', 'a video or sound (RIFF)', [0, 'RIFF']],
  ['image', 'a TIFF image', [0, 'II*\0']],
  ['image', 'a TIFF image', [0, 'MM\0*']],
  ['image', 'a TIFF image', [0, 'II+\0']],
  ['image', 'a TIFF image', [0, 'MM\0+']],
  ['image', 'an AVIF image', [4, 'ftypavi']],
  ['image', 'a HEIC image', [4, 'ftyphe']],
  ['image', 'a HEIC image', [4, 'ftypmif1']],
  ['image', 'a HEIC image', [4, 'ftypmsf1']],
  ['image', 'a camera raw image (CR3)', [4, 'ftypcrx']],
  ['other', 'a video (MP4)', [4, 'ftyp']],
  ['other', 'a video (WebM or Matroska)', [0, '\x1aE\xdf\xa3']],
  ['other', 'a sound (MP3)', [0, 'ID3\x03']],
  ['other', 'a sound (MP3)', [0, 'ID3\x04']],
  ['other', 'a sound or video (Ogg)', [0, 'OggS']],
  ['other', 'a sound (FLAC)', [0, 'fLaC']],
  ['image', 'a JPEG XL image', [0, '\xff\n']],
  ['image', 'a JPEG XL image', [0, '\0\0\0\x0cJXL ']],
  ['image', 'a JPEG 2000 image', [0, '\0\0\0\x0cjP  ']],
  ['image', 'a JPEG 2000 image', [0, '\xff\x4f\xff\x51']],
  ['image', 'a JPEG XR image', [0, 'II\xbc']],
  ['image', 'an icon (ICO)', [0, '\0\0\x01\0']],
  ['image', 'a Photoshop image', [0, '8BPS']],
  ['image', 'an OpenEXR image', [0, 'v/1\x01']],
  ['image', 'a Radiance HDR image', [0, '#?RADIANCE']],
  ['image', 'a QOI image', [0, 'qoif']],
  ['image', 'a GIMP image', [0, 'gimp xcf']],
  ['image', 'a BPG image', [0, 'BPG\xfb']],
  ['image', 'a FLIF image', [0, 'FLIF']],
  ['image', 'a DDS image', [0, 'DDS ']],
  ['image', 'a FITS image', [0, 'SIMPLE  =']],
  ['image', 'a DICOM image', [128, 'DICM']],
  ['image', 'an MNG or JNG image', [1, 'NG\r\n\x1a\n']],
  ['image', 'a PDF document', [0, '%PDF']],
  ['image', 'a PostScript document', [0, '%!PS']],
  ['arrays', 'an array of NumPy (npy)', [0, '\x93NUMPY']],
  ['arrays', 'a Matlab file', [0, 'MATLAB 5']],
  ['arrays', 'a Matlab file', [0, 'MATLAB 7']],
  ['model', 'an HDF5 file', [0, '\x89HDF']],
  ['model', 'a TensorFlow Lite model', [4, 'TFL3']],
  ['model', 'a program of ExecuTorch', [4, 'ET12']],
  ['model', 'a GGUF file of llama.cpp', [0, 'GGUF']],
  ['model', 'a GGML file of llama.cpp', [0, 'tjgg']],
  ['model', 'a GGML file of llama.cpp', [0, 'lmgg']],
  ['model', 'parameters of MXNet', [0, '\x12\x01\0\0\0\0\0\0']],
  ['model', 'a TensorRT engine', [0, 'ftrt']],
  ['other', 'an SQLite database', [0, 'SQLite format 3\0']],
  ['other', 'a Parquet file', [0, 'PAR1']],
  ['other', 'an Arrow file', [0, 'ARROW1']],
  ['other', 'a NetCDF file', [0, 'CDF\x01']],
  ['other', 'a NetCDF file', [0, 'CDF\x02']],
  ['archive', 'a gzip file', [0, '\x1f\x8b']],
  ['archive', 'a file of compress (.Z)', [0, '\x1f\x9d']],
  ['archive', 'a bzip2 file', [0, 'BZh']],
  ['archive', 'an xz file', [0, '\xfd7zXZ\0']],
  ['archive', 'a Zstandard file', [0, '\x28\xb5\x2f\xfd']],
  ['archive', 'an LZ4 file', [0, '\x04"M\x18']],
  ['archive', 'a 7-Zip archive', [0, '7z\xbc\xaf\x27\x1c']],
  ['archive', 'a RAR archive', [0, 'Rar!']],
  ['empty', 'an empty zip', [0, 'PK\x05\x06']],
  ['other', 'a file of macOS (AppleDouble)', [0, '\0\x05\x16\x07']],
  ['other', 'a file of macOS (.DS_Store)', [0, '\0\0\0\x01Bud1']],
  ['other', 'a property list of macOS', [0, 'bplist']],
  ['other', 'a file of Windows (Thumbs.db or an old Office document)', [0, '\xd0\xcf\x11\xe0']],
  ['other', 'a program', [0, '\x7fELF']],
  ['other', 'a program', [0, '\xcf\xfa\xed\xfe']],
  ['other', 'a program', [0, 'MZ']],
];

/** Formats whose first bytes vary, as text of one character per byte. */
const PATTERNS: readonly [kind: Kind, name: string, begin: RegExp][] = [
  // The header of a bitmap follows its 14 bytes; the size of that header is one of a few.
  ['image', 'a BMP image', /^BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0/s],
  ['image', 'a PGM or PPM image', /^P[2356][\s#]/],
  ['netpbm', 'a PBM image (black and white)', /^P[14][\s#]/],
  ['netpbm', 'a PAM image', /^P7[\s#]/],
  ['netpbm', 'a PFM image', /^P[Ff][\s#]/],
  // By the name of its first file.
  ['old', 'a tar file, the first format of PyTorch', /^(?=.{257}ustar)(\.\/)?(sys_info|pickle|storages|tensors)\0/s],
  ['archive', 'a tar archive', /^.{257}ustar/s],
  // The integer that begins a file of before PyTorch 1.6, in a pickle of protocol 2 and later, and in one of protocol 0.
  ['network', 'a PyTorch file', /^\x80.(\x95.{8})?\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19/s],
  ['old', 'a PyTorch file of pickle protocol 0', /^L?119547037146038801333356L?\n/],
  ['pickle', 'a pickle that torch.save did not write', /^\x80[\x02-\x05]/],
  // Of protocols 0 and 1: a dictionary or list, an object of a class, a tuple, a number or a text.
  [
    'pickle',
    'a pickle that torch.save did not write',
    /^(\([dl](p\d|\.)|[}\]]q\0|\(?c[a-z_][\w.]*\n[A-Za-z_]\w*\n(p\d|q|\()|\([IFLVS][^\n]*\n.*tp\d|([IFL]-?[\d.]+L?\n|[VS][^\n]*\np\d+\n)\.)/s,
  ],
  ['network', 'a safetensors file', /^.{3}\0{5}\s*\{/s],
  // Models as protocol buffers: a version and then a message, or the nodes, or a name and the layers.
  ['model', 'a model of TensorFlow or Core ML', /^\x08[\x01-\x1f]\x12/],
  ['model', 'a graph of TensorFlow', /^\n.{1,3}\n.[\w/.:-]+\x12.[A-Z]\w/s],
  ['model', 'a network of Caffe', /^\n.[\x20-\x7e]+\xa2\x06/s],
  ['model', 'a MessagePack file, as Flax writes it', /^[\x81-\x8f](\xa1\w|[\xa2-\xbf]\w\w|\xd9.\w\w)/s],
  ['damaged', 'an image after stray bytes', /^.{1,60}(\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a)/s],
  ['damaged', 'a zip after stray bytes', /^.{1,60}PK\x03\x04/s],
];

/** Formats of text, after a byte order mark and space. */
const TEXTS: readonly [kind: Kind, name: string, begin: RegExp][] = [
  ['pointer', 'a Git LFS pointer', /^version https:\/\/git-lfs/],
  [
    'page',
    'a web page',
    /^(<\?xml[^>]*>\s*)?(<!--((?!-->).)*-->\s*)*<(!doctype html|html|head|body|title|script|style|meta|link|base|center|div|p|h[1-6]|a|b|br|font|form|iframe|pre|table)[\s/>]/is,
  ],
  ['image', 'an SVG drawing', /^<(.*<)?(\w+:|!doctype )?svg[\s>]/is],
  ['failed', 'an HTML or XML file', /^<!--/],
  ['failed', 'an XML file', /^<(\?xml|!|[a-z][\w:.-]*[\s/>])/i],
  [
    'failed',
    'a JSON file',
    /^(\{\s*["}]|\[[[\s]*(["{\]]|(-?[\d.]+(e[+-]?\d+)?|true|false|null)\s*(,|\]\s*([,\]]|$))))/i,
  ],
];

/** Bytes from the start of a file that are looked at. */
const LOOKED_AT = 2048;

/** True if the bytes begin as those of ONNX files: the version of the format, and then another field of the model. */
export function isOnnx(bytes: Uint8Array): boolean {
  // Versions 1 and 2 were never released. Producer, its version, domain, version of the model, text, graph, operators.
  if (bytes[0] !== 0x08 || !(bytes[1] >= 3 && bytes[1] < 0x40)) return false;
  if (bytes[2] !== 0x12) return [0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42].includes(bytes[2]);
  // The producer is a text; in models of Core ML, there is a message.
  return bytes[3] < 0x80 && (bytes[3] === 0 || bytes[4] >= 0x20);
}

/**
 * Recognises a file by its first bytes.
 *
 * @param wanted what the file was taken for: the advice depends on it. Files that are read there are not foreign
 * @returns undefined when the bytes are of no known format
 */
export function foreignFormat(bytes: Uint8Array, wanted: Wanted): ForeignFormat | undefined {
  return named(formatOf(bytes), wanted);
}

/**
 * Recognises what program wrote a zip.
 * @param names of the files in it
 */
export function foreignZip(names: readonly string[], wanted: Wanted): ForeignFormat | undefined {
  return named(zipFormat(names), wanted);
}

function named(format: Format | undefined, wanted: Wanted): ForeignFormat | undefined {
  return format && { name: format[1], advice: ADVICE[format[0]][wanted === 'image' ? 0 : 1] };
}

type Format = readonly [kind: Kind, name: string];

function formatOf(bytes: Uint8Array): Format | undefined {
  if (bytes.length === 0) return ['empty', 'an empty file'];
  const looked = bytes.subarray(0, LOOKED_AT);
  const start = Array.from(looked, (byte) => String.fromCharCode(byte)).join('');
  const found = SIGNATURES.find(([, , ...parts]) => parts.every(([at, text]) => start.startsWith(text, at)));
  if (found) return [found[0], found[1]];
  if (start.startsWith('PK\x03\x04')) return zipFormat(namesIn(start)) ?? ['archive', 'a zip archive'];
  if (isOnnx(bytes)) return ['onnx', 'an ONNX file'];
  return matching(PATTERNS, start) ?? textFormat(looked);
}

function matching(formats: readonly [Kind, string, RegExp][], start: string): Format | undefined {
  const found = formats.find(([, , begin]) => begin.test(start));
  return found && [found[0], found[1]];
}

/** Names of the first files of a zip. */
function namesIn(start: string): string[] {
  const headers = start.split('PK\x03\x04').slice(1);
  return headers.map((header) => header.slice(26, 26 + header.charCodeAt(22) + 256 * header.charCodeAt(23)));
}

/** Kinds of zips, by the names of the files in them, one per line. */
const ZIPS: readonly [kind: Kind, name: string, files: RegExp][] = [
  ['model', 'a program of torch.export', /(^|\/)(archive_format|serialized_exported_program\.json)$/m],
  ['network', 'a PyTorch file', /(^|\/)data\.pkl$/m],
  ['arrays', 'an npz file of NumPy', /^([^\n]*\.npy(\n|$))+$/],
  ['model', 'a model of Keras', /(^|\/)model\.weights\.h5$|^metadata\.json\nconfig\.json$/m],
  ['model', 'a model of TensorFlow in a zip', /(^|\/)saved_model\.pb$/m],
  ['other', 'an Office document', /^(\[Content_Types\]\.xml|mimetype)$/m],
  ['other', 'a program of Java', /^META-INF\//m],
];

function zipFormat(names: readonly string[]): Format | undefined {
  return matching(ZIPS, names.join('\n'));
}

function textFormat(bytes: Uint8Array): Format | undefined {
  if (bytes.every((byte) => byte === 0)) return ['failed', 'nothing but zero bytes'];
  const text = textOf(bytes).trimStart();
  if (/[\0-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]/.test(text.slice(0, -1))) return undefined;
  return matching(TEXTS, text) ?? ['failed', 'a text file'];
}

/** A text in UTF-8, UTF-16 or, if most of it is ASCII, Latin-1. What is no text has replacement characters. */
function textOf(bytes: Uint8Array): string {
  const [a, b, c, d] = bytes;
  const isAscii = (low: number, high: number) => high === 0 && low > 0 && low < 0x80;
  if ((a === 0xff && b === 0xfe) || (isAscii(a, b) && isAscii(c, d))) return new TextDecoder('utf-16le').decode(bytes);
  if ((a === 0xfe && b === 0xff) || (isAscii(b, a) && isAscii(d, c))) return new TextDecoder('utf-16be').decode(bytes);
  const text = new TextDecoder().decode(bytes);
  const others = bytes.reduce((count, byte) => count + Number(byte >= 0x80), 0);
  const isLatin = text.slice(0, -1).includes('\ufffd') && 4 * others < bytes.length;
  return isLatin ? new TextDecoder('latin1').decode(bytes) : text;
}
