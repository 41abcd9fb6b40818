/**
 * Reads PyTorch checkpoints as `torch.save` has written them since version 1.6: a zip of `<name>/data.pkl`, a pickle of
 * everything except the numbers, and `<name>/data/<key>`, the bytes of each storage
 * (https://docs.pytorch.org/docs/stable/notes/serialization.html). The pickle is read as data: it may name only what a
 * dictionary of tensors needs, and nothing in it is ever run. Sizes are checked before anything is unpacked.
 */
import { type UnzipFileInfo, unzipSync } from 'fflate';
import { Parser } from 'pickleparser';
import { DataError } from '../errors.ts';
import type { Dtype, Tensor, TensorData } from './safetensors.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
/** Limits of the unpacked bytes: in total, and, beyond an allowance, as a multiple of the packed bytes. */
const MAX_BYTES = 4 * GIB;
const MAX_RATIO = 100;
const ALLOWANCE = MIB;
const MAX_PICKLE = 64 * MIB;
const MAX_ENTRIES = 100_000;
/** The keys under which training scripts store the state dict in a larger checkpoint. */
const STATE_DICT_KEYS = ['model', 'state_dict', 'model_state_dict'];
const DATA_PARALLEL = 'module.';

interface StorageType {
  readonly dtype: Dtype;
  /** Bytes per element. */
  readonly itemSize: number;
}

/** torch.DoubleStorage is missing because this project's safetensors files have no float64. */
const STORAGES: Readonly<Record<string, StorageType>> = {
  FloatStorage: { dtype: 'F32', itemSize: 4 },
  HalfStorage: { dtype: 'F16', itemSize: 2 },
  BFloat16Storage: { dtype: 'BF16', itemSize: 2 },
  LongStorage: { dtype: 'I64', itemSize: 8 },
  IntStorage: { dtype: 'I32', itemSize: 4 },
  ByteStorage: { dtype: 'U8', itemSize: 1 },
  BoolStorage: { dtype: 'BOOL', itemSize: 1 },
};

/** A storage as the pickle describes it. It is frozen, because a pickle can change objects on its stack. */
class StorageRef {
  constructor(
    readonly type: StorageType,
    readonly key: string,
    /** Number of elements. */
    readonly count: number,
  ) {
    Object.freeze(this);
  }
}

/** A tensor as the pickle describes it: a strided view of a storage, not checked yet. */
class TensorRef {
  readonly shape: readonly unknown[];
  readonly stride: readonly unknown[];

  constructor(
    readonly storage: unknown,
    readonly offset: unknown,
    shape: unknown,
    stride: unknown,
  ) {
    // Copied, because the tuples may still be on the stack.
    this.shape = Object.freeze(Array.isArray(shape) ? [...shape] : [undefined]);
    this.stride = Object.freeze(Array.isArray(stride) ? [...stride] : []);
    Object.freeze(this);
  }
}

/** A tensor whose view was found to lie in its storage; sizes in elements. */
interface View {
  readonly key: string;
  readonly storage: StorageRef;
  readonly offset: number;
  readonly shape: number[];
  readonly stride: readonly number[];
  readonly elements: number;
}

/**
 * Reads the state dict of a checkpoint: the file's top level, or the value of its key `model`, `state_dict` or
 * `model_state_dict`. The prefix `module.` of DataParallel is removed; `num_batches_tracked` counters are left out.
 * Tensors are contiguous copies in PyTorch's layout (Linear [out, in], Conv2d OIHW, ConvTranspose2d IOHW), in the
 * state dict's order, with their bits unchanged.
 *
 * @param name the file, for messages
 * @throws DataError naming the file, and the entry or key: not a zip of torch.save, truncated, a pickle that names
 *   anything but tensors (named in the message; not run), sizes out of bounds or that disagree, a view outside its
 *   storage, big-endian numbers, float64
 */
export function readPth(bytes: Uint8Array, name: string): Map<string, Tensor> {
  refuseOtherFormats(bytes, name);
  const entries = listEntries(bytes, name);
  const pickleName = [...entries.keys()].find((entry) => /^[^/]+\/data\.pkl$/.test(entry));
  if (pickleName === undefined) {
    throw new DataError(`${name}: no data.pkl in this zip, so torch.save did not write it; give a .pth file`);
  }
  const root = pickleName.slice(0, -'data.pkl'.length);
  if ((entries.get(pickleName)?.originalSize ?? 0) > MAX_PICKLE) {
    throw new DataError(`${name}: ${pickleName} has more than ${MAX_PICKLE} bytes; save the state dict alone`);
  }
  const byteOrderName = `${root}byteorder`;
  const small = unzipEntries(bytes, entries, new Set([pickleName, byteOrderName]), name);
  const byteOrder = new TextDecoder().decode(small.get(byteOrderName)?.subarray(0, 16)).trim();
  if (byteOrder !== '' && byteOrder !== 'little') {
    throw new DataError(`${name}: ${byteOrderName} is "${printable(byteOrder)}"; save it on a little-endian machine`);
  }

  const pickle = parsePickle(small.get(pickleName) as Uint8Array, `${name}: ${pickleName}`);
  const views = stateDict(findStateDict(pickle, name), name).map(([key, ref]) =>
    checkView(key, ref, `${name}: key ${key}`),
  );
  const total = views.reduce((sum, view) => sum + view.elements * view.storage.type.itemSize, 0);
  if (total > MAX_BYTES || total > ALLOWANCE + MAX_RATIO * bytes.length) {
    throw new DataError(
      `${name}: its tensors would need ${total} bytes, the file has ${bytes.length}; ` +
        'damaged or made to fill the memory, fetch it again',
    );
  }
  const entryOf = checkStorages(views, entries, root, name);
  const storages = unzipEntries(bytes, entries, new Set(entryOf.values()), name);
  return new Map(
    views.map((view) => {
      const data = storages.get(entryOf.get(view.storage.key) as string) as Uint8Array<ArrayBuffer>;
      return [view.key, { dtype: view.storage.type.dtype, shape: view.shape, data: gather(view, data) }];
    }),
  );
}

/**
 * Returns the tensor of that name if it has the dtype and the shape a model needs. Use `requireFinite` to check for NaN.
 *
 * @param shape sizes in PyTorch's order
 * @param file the file, for messages
 * @throws DataError naming the file and the key: it is missing (with the keys that exist), or its dtype or shape differs
 */
export function requireTensor(
  tensors: ReadonlyMap<string, Tensor>,
  key: string,
  shape: readonly number[],
  file: string,
  dtype: Dtype = 'F32',
): Tensor {
  const tensor = tensors.get(key);
  if (!tensor) {
    const keys = [...tensors.keys()];
    const alike = keys.filter((other) => tensors.get(other)?.shape.join() === shape.join());
    const [what, shown] = alike.length > 0 ? ['of that shape it has', alike] : ['it has', keys];
    const list = shown.length > 4 ? `${shown.slice(0, 4).join(', ')}, ...` : shown.join(', ');
    throw new DataError(
      `${file}: key ${key} [${shape}] is missing, ${what} ${list || 'nothing'}; rename it or give another file`,
    );
  }
  if (tensor.dtype !== dtype || tensor.shape.join() !== shape.join()) {
    throw new DataError(
      `${file}: key ${key} is ${tensor.dtype} [${tensor.shape}], the model needs ${dtype} [${shape}]; ` +
        'give a checkpoint of that model',
    );
  }
  return tensor;
}

function refuseOtherFormats(bytes: Uint8Array, name: string): void {
  const starts = (offset: number, text: string) =>
    [...text].every((char, i) => bytes[offset + i] === char.charCodeAt(0));
  if (starts(0, 'PK\u0003\u0004')) return;
  if (bytes.length === 0) throw new DataError(`${name}: byte 0: the file is empty; fetch it again`);
  const advice =
    'save it again with a current PyTorch, torch.save(torch.load(file), file), or convert it to safetensors';
  if (bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5) {
    throw new DataError(`${name}: byte 0: a bare pickle, the format of PyTorch before 1.6; ${advice}`);
  }
  if (starts(257, 'ustar'))
    throw new DataError(`${name}: byte 257: a tar file, the first format of PyTorch; ${advice}`);
  const start = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new DataError(`${name}: byte 0: not a PyTorch checkpoint (starts with ${start}); give a .pth file`);
}

/** The entries of the zip's directory by name, after validation. */
function listEntries(bytes: Uint8Array, name: string): Map<string, UnzipFileInfo> {
  const entries = new Map<string, UnzipFileInfo>();
  let total = 0;
  unzip(bytes, name, (entry) => {
    const { size, originalSize, compression } = entry;
    const where = `${name}: ${printable(entry.name)}`;
    if (entries.has(entry.name) || entries.size === MAX_ENTRIES) {
      throw new DataError(`${where}: the zip's directory is damaged; fetch the file again`);
    }
    total += originalSize;
    const disagrees = compression === 0 && size !== originalSize;
    if (disagrees || size > bytes.length || originalSize > ALLOWANCE + MAX_RATIO * size || total > MAX_BYTES) {
      throw new DataError(
        `${where}: ${size} bytes would unpack to ${originalSize} (${total} so far); ` +
          'damaged or made to fill the memory, fetch it again',
      );
    }
    entries.set(entry.name, entry);
    return false;
  });
  return entries;
}

function unzipEntries(
  bytes: Uint8Array,
  entries: ReadonlyMap<string, UnzipFileInfo>,
  wanted: ReadonlySet<string>,
  name: string,
): Map<string, Uint8Array<ArrayBuffer>> {
  const files = new Map(Object.entries(unzip(bytes, name, (entry) => wanted.has(entry.name))));
  for (const [entry, content] of files) {
    const expected = entries.get(entry)?.originalSize;
    if (content.length !== expected) {
      throw new DataError(
        `${name}: ${entry}: ${content.length} of ${expected} bytes; the file is damaged, fetch it again`,
      );
    }
  }
  return files;
}

function unzip(bytes: Uint8Array, name: string, filter: (entry: UnzipFileInfo) => boolean) {
  try {
    return unzipSync(bytes, { filter }) as Record<string, Uint8Array<ArrayBuffer>>;
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(
      `${name}: byte ${bytes.length}: truncated or damaged zip (${printable((cause as Error).message)}); fetch it again`,
      { cause },
    );
  }
}

/** Parses the object of a pickle. Dictionaries become maps, tensors `TensorRef`s. */
function parsePickle(pickle: Uint8Array, where: string): unknown {
  // Created for every file and frozen, so that no pickle can affect later files.
  const allowed = new Map<string, unknown>([
    ['collections.OrderedDict', Object.freeze((pairs?: [unknown, unknown][]) => new Map(pairs))],
    [
      'torch._utils._rebuild_tensor_v2',
      Object.freeze((...[storage, offset, shape, stride]: unknown[]) => new TensorRef(storage, offset, shape, stride)),
    ],
    ['torch._utils._rebuild_parameter', Object.freeze((data: unknown) => data)],
    ...Object.entries(STORAGES).map(([type, storage]) => [`torch.${type}`, Object.freeze({ ...storage })] as const),
  ]);
  const storageTypes = new Set(Object.keys(STORAGES).map((type) => allowed.get(`torch.${type}`)));
  const parser = new Parser({
    unpicklingTypeOfDictionary: 'Map',
    unpicklingTypeOfSet: 'Set',
    nameResolver: {
      resolve(module, type) {
        const global = allowed.get(`${module}.${type}`);
        if (global !== undefined) return global as () => unknown;
        const what = printable(`${module}.${type}`);
        if (what === 'torch.DoubleStorage') {
          throw new DataError(`${where}: holds float64 tensors (${what}); save model.float().state_dict()`);
        }
        throw new DataError(
          `${where}: names ${what}, which no dictionary of tensors needs; it was not run, ` +
            'save the weights alone: torch.save(model.state_dict(), file)',
        );
      },
    },
    persistentResolver: {
      resolve(id: unknown) {
        const [tag, type, key, , count] = Array.isArray(id) ? id : [];
        if (tag !== 'storage' || !storageTypes.has(type) || typeof key !== 'string' || !isCount(count)) {
          throw new DataError(`${where}: a persistent id is not a storage; save the weights alone`);
        }
        return new StorageRef(type as StorageType, key, count);
      },
    },
  });
  try {
    return parser.parse(pickle);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    const reason = printable((cause as Error).message);
    throw new DataError(`${where}: not a pickle of torch.save (${reason}); fetch the file again`, { cause });
  }
}

function findStateDict(top: unknown, name: string): [string, TensorRef][] {
  if (!(top instanceof Map)) {
    throw new DataError(`${name}: holds no dictionary; save the weights: torch.save(model.state_dict(), file)`);
  }
  const nestedKey = STATE_DICT_KEYS.find((key) => top.get(key) instanceof Map);
  const dict = nestedKey === undefined ? top : (top.get(nestedKey) as Map<unknown, unknown>);
  const entries = [...dict];
  const stranger = entries.find(([key, value]) => typeof key !== 'string' || !(value instanceof TensorRef));
  if (stranger || entries.length === 0) {
    const prefix = nestedKey === undefined ? '' : `${nestedKey}.`;
    const what = stranger ? `key ${prefix}${printable(String(stranger[0]))} is not a tensor` : 'no tensors';
    throw new DataError(
      `${name}: ${what}; a state dict is looked for at the top level and under ${STATE_DICT_KEYS.join(', ')}`,
    );
  }
  return entries as [string, TensorRef][];
}

/**
 * The entries of a state dict without DataParallel's prefix `module.`, where all have it, and without
 * `num_batches_tracked`.
 *
 * @param name the file, for messages
 * @throws DataError naming the file and a key that cannot be a name
 */
export function stateDict<T>(entries: Iterable<readonly [string, T]>, name: string): [string, T][] {
  const all = [...entries];
  const wrapped = all.every(([key]) => key.startsWith(DATA_PARALLEL));
  const stripped = all.map(([key, value]): [string, T] => [wrapped ? key.slice(DATA_PARALLEL.length) : key, value]);
  const odd = stripped.find(([key]) => key === '' || printable(key) !== key);
  if (odd) throw new DataError(`${name}: key "${printable(odd[0])}" is not the name of a tensor; save it again`);
  return stripped.filter(([key]) => !/(^|\.)num_batches_tracked$/.test(key));
}

function checkView(key: string, ref: TensorRef, where: string): View {
  const { storage, offset, shape, stride } = ref;
  const isList = (list: readonly unknown[]): list is number[] => list.every(isCount);
  if (!(storage instanceof StorageRef) || !isCount(offset) || !isList(shape) || !isList(stride)) {
    throw new DataError(
      `${where}: storage, offset, shape or stride is missing or not a whole number >= 0; save it again`,
    );
  }
  const elements = shape.reduce((product, size) => product * size, 1);
  const last = offset + shape.reduce((sum, size, i) => sum + (size - 1) * stride[i], 0);
  if (shape.length !== stride.length || (elements > 0 && !(last < storage.count)) || !isCount(elements)) {
    throw new DataError(
      `${where}: shape [${shape}] with stride [${stride}] from element ${offset} does not lie in its storage ` +
        `${printable(storage.key)} of ${storage.count}; the file is damaged`,
    );
  }
  return { key, storage, offset, shape: [...shape], stride, elements };
}

/** Finds the zip entry of each storage key, and checks that its size is the one in the pickle. */
function checkStorages(
  views: readonly View[],
  entries: ReadonlyMap<string, UnzipFileInfo>,
  root: string,
  name: string,
): Map<string, string> {
  const known = new Map<string, StorageRef>();
  const entryOf = new Map<string, string>();
  for (const { key, storage } of views) {
    const entry = `${root}data/${storage.key}`;
    const expected = storage.count * storage.type.itemSize;
    const size = entries.get(entry)?.originalSize;
    const before = known.get(storage.key) ?? storage;
    if (size !== expected || before.type !== storage.type || before.count !== storage.count) {
      throw new DataError(
        `${name}: key ${key}: its storage ${printable(entry)} has ${size ?? 'no'} bytes, ` +
          `${storage.count} of ${storage.type.dtype} need ${expected}; the file is damaged`,
      );
    }
    known.set(storage.key, storage);
    entryOf.set(storage.key, entry);
  }
  return entryOf;
}

/** Copies a view's elements in row-major order, as words of their size and never as floats. */
function gather({ storage, offset, shape, stride, elements }: View, bytes: Uint8Array<ArrayBuffer>): TensorData {
  const { dtype, itemSize } = storage.type;
  const packed = new Uint8Array(elements * itemSize);
  const isContiguous = shape.every(
    (size, i) => size === 1 || stride[i] === shape.slice(i + 1).reduce((product, inner) => product * inner, 1),
  );
  if (isContiguous || elements === 0) {
    packed.set(bytes.subarray(offset * itemSize, offset * itemSize + packed.length));
  } else {
    const Words = itemSize === 1 ? Uint8Array : itemSize === 2 ? Uint16Array : Uint32Array;
    const words = itemSize / Words.BYTES_PER_ELEMENT;
    const source = new Words(bytes.buffer, bytes.byteOffset, storage.count * words);
    const target = new Words(packed.buffer);
    const index = new Uint32Array(shape.length);
    let from = offset;
    for (let to = 0; to < elements; to++) {
      for (let word = 0; word < words; word++) target[to * words + word] = source[from * words + word];
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        from += stride[axis];
        if (++index[axis] < shape[axis]) break;
        from -= stride[axis] * shape[axis];
        index[axis] = 0;
      }
    }
  }
  const { buffer } = packed;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'I32':
      return new Int32Array(buffer);
    case 'I64':
      return new BigInt64Array(buffer);
    case 'F16':
    case 'BF16':
      return new Uint16Array(buffer);
    default:
      return packed;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Makes text from a file printable: one line of at most about 100 characters, without control characters. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, '?');
  return line.length > 100 ? `${line.slice(0, 100)}...` : line;
}
