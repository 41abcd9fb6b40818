/**
 * Pickles written by hand (protocol 2, https://docs.python.org/3/library/pickletools.html), and files of torch.save made of
 * them. Every value is given by the bytes that push it onto the stack.
 */
import { type Zippable, zipSync } from 'fflate';

export type Bytes = readonly number[];
export const ascii = (text: string): Bytes => [...new TextEncoder().encode(text)];
export const text = (value: string): Bytes => [0x58, value.length & 255, value.length >> 8, 0, 0, ...ascii(value)];
export const int = (value: number): Bytes => [
  0x4a,
  value & 255,
  (value >> 8) & 255,
  (value >> 16) & 255,
  (value >> 24) & 255,
];
export const tuple = (...items: Bytes[]): Bytes => [0x28, ...items.flat(), 0x74];
export const global = (module: string, name: string): Bytes => ascii(`c${module}\n${name}\n`);
export const call = (func: Bytes, ...args: Bytes[]): Bytes => [...func, ...tuple(...args), 0x52];
export const dict = (entries: Record<string, Bytes>): Bytes => [
  0x7d,
  0x28,
  ...Object.entries(entries).flatMap(([key, value]) => [...text(key), ...value]),
  0x75,
];
export const NONE: Bytes = [0x4e];
export const FALSE: Bytes = [0x89];
export const orderedDict = call(global('collections', 'OrderedDict'));

export const storage = (key: string, count: number, type = 'FloatStorage'): Bytes => [
  ...tuple(text('storage'), global('torch', type), text(key), text('cpu'), int(count)),
  0x51,
];
export const tensor = (source: Bytes, shape: number[], stride: number[], offset = 0): Bytes =>
  call(
    global('torch._utils', '_rebuild_tensor_v2'),
    source,
    int(offset),
    tuple(...shape.map(int)),
    tuple(...stride.map(int)),
    FALSE,
    orderedDict,
  );

export const bytesOf = (words: Float32Array | Uint32Array | BigInt64Array | Uint16Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(words.buffer as ArrayBuffer);
/** A whole pickle: the protocol, the value, and the end. */
export const pickled = (value: Bytes) => Uint8Array.from([0x80, 2, ...value, 0x2e]);
/** A zip as torch.save makes it: nothing is compressed. */
export const archive = (pickle: Bytes, storages: Record<string, Uint8Array> = {}, more: Zippable = {}) => {
  const files: Zippable = { 'm/data.pkl': pickled(pickle), 'm/version': Uint8Array.of(51, 10) };
  for (const [key, content] of Object.entries(storages)) files[`m/data/${key}`] = content;
  return zipSync({ ...files, ...more }, { level: 0 });
};
export const six = bytesOf(Float32Array.of(0, 1, 2, 3, 4, 5));
export const good = tensor(storage('0', 6), [2, 3], [3, 1]);

/** A storage of the format of before PyTorch 1.6, or with `view` a part of it, given by offset and length. */
export const legacyStorage = (key: string, count: number, view?: readonly [offset: number, length: number]): Bytes => [
  ...tuple(
    text('storage'),
    global('torch', 'FloatStorage'),
    text(key),
    text('cpu'),
    int(count),
    view ? tuple(text('view'), int(view[0]), int(view[1])) : NONE,
  ),
  0x51,
];

/** A file of before PyTorch 1.6. */
export function legacy(
  value: Bytes,
  storages: Record<string, Uint8Array>,
  { version = 1001, littleEndian = true } = {},
): Uint8Array<ArrayBuffer> {
  const magic = [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  const parts: Uint8Array[] = [magic, int(version), dict({ little_endian: [littleEndian ? 0x88 : 0x89] }), value].map(
    pickled,
  );
  parts.push(pickled([0x5d, 0x28, ...Object.keys(storages).flatMap(text), 0x65]));
  for (const content of Object.values(storages)) {
    parts.push(new Uint8Array(BigUint64Array.of(BigInt(content.length / 4)).buffer), content);
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
