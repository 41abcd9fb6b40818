/** Tells what a file is by its bytes, for files that are not what they were taken for. */

export interface FileKind {
  /** In words, with an article: "a web page". */
  readonly what: string;
  /** What the user can do. */
  readonly advice: string;
}

const UNPACK = 'unpack it and give the file inside';

/** The beginnings of files that people mistake for checkpoints and packs; text is compared without spaces before it. */
const KINDS: readonly (readonly [start: string, what: string, advice: string])[] = [
  ['PK\u0003\u0004', 'a zip, as PyTorch and NumPy write them', 'convert a PyTorch checkpoint with midas import'],
  ['PK\u0005\u0006', 'an empty zip', 'fetch the file again'],
  ['\u001f\u008b', 'a gzip file', UNPACK],
  ['BZh', 'a bzip2 file', UNPACK],
  ['\u00fd7zXZ', 'an xz file', UNPACK],
  ['(\u00b5/\u00fd', 'a Zstandard file', UNPACK],
  ['7z\u00bc\u00af', 'a 7-Zip file', UNPACK],
  ['Rar!', 'a RAR file', UNPACK],
  ['\u0093NUMPY', 'an npy array of NumPy', 'save the weights with torch.save'],
  ['\u0089HDF', 'an HDF5 file, as Keras writes it', 'give a PyTorch or safetensors file'],
  ['GGUF', 'a GGUF file of llama.cpp', 'give a PyTorch or safetensors file'],
  ['\u0089PNG', 'a PNG picture', 'give the file of the network'],
  ['\u00ff\u00d8\u00ff', 'a JPEG picture', 'give the file of the network'],
  ['%PDF', 'a PDF document', 'give the file of the network'],
];

const TEXTS: readonly (readonly [start: RegExp, what: string, advice: string])[] = [
  [/^version https:\/\/git-lfs/, 'a Git LFS pointer', 'fetch the file itself: git lfs pull'],
  [/^(<!doctype html|<html|<head|<body|<script)/i, 'a web page', 'open the link in a browser and save the file'],
  [/^<\?xml|^<[a-z]+[\s>]/i, 'an XML text', 'give the file of the network'],
  [/^[{[]/, 'a JSON text', 'give the file of the network'],
];

/** The kind of a file, undefined if it is none of those that are known. */
export function fileKind(bytes: Uint8Array): FileKind | undefined {
  if (bytes.length === 0) return { what: 'an empty file', advice: 'fetch it again' };
  const start = String.fromCharCode(...bytes.subarray(0, 300));
  for (const [begin, what, advice] of KINDS) if (start.startsWith(begin)) return { what, advice };
  if (start.slice(257, 262) === 'ustar') return tarKind(start);
  if (bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5) {
    return {
      what: 'a pickle that torch.save did not write',
      advice: 'save the weights with torch.save(model.state_dict(), file)',
    };
  }
  // Its first field is a version, the second the name of the program that wrote it.
  if (bytes[0] === 8 && bytes[2] === 18 && /^(pytorch|onnx|tf2onnx|keras2onnx|skl2onnx)/.test(start.slice(4))) {
    return { what: 'an ONNX file', advice: 'convert it with midas import, or give it as --victim' };
  }
  const text = start.replace(/^(\u00ef\u00bb\u00bf)?\s*/, '');
  for (const [begin, what, advice] of TEXTS) if (begin.test(text)) return { what, advice };
  return undefined;
}

/** A tar archive by the name of its first file: PyTorch before 0.1.10 wrote `sys_info`, `pickle`, `storages` and `tensors`. */
function tarKind(start: string): FileKind {
  const [first] = start.slice(0, 100).split('\u0000');
  if (/^(\.\/)?(sys_info|pickle|storages|tensors)$/.test(first)) {
    return {
      what: 'a tar file, the first format of PyTorch',
      advice: 'save it again with a current PyTorch: torch.save(torch.load(file), file)',
    };
  }
  return { what: 'a tar archive', advice: UNPACK };
}
