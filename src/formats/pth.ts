/**
 * Reads PyTorch checkpoints as torch.save writes them (https://docs.pytorch.org/docs/stable/notes/serialization.html): since
 * version 1.6 a zip of `<name>/data.pkl`, a pickle of everything except the numbers, and `<name>/data/<key>`, the bytes of
 * each storage; before, five pickles and then the storages. Only tensors and the dictionaries that hold them are read;
 * whatever else the pickle names is skipped, and nothing in it is ever run. Sizes are checked before anything is unpacked.
 */
import { DataError } from '../errors.ts';
import { printable } from '../printable.ts';
import { foreignZip } from './foreign.ts';
import { type PickleHandlers, readPickle } from './pickle.ts';
import { describeValue, PickleGlobal, PickleObject } from './pickle_values.ts';
import { type StorageRef, storageOf, TensorRef, tensorOf } from './pth_tensors.ts';
import { guardReading, type StoredTensor, type TensorDictionary, type TensorFile } from './stored_tensor.ts';
import { readZipDirectory, readZipEntry, type ZipEntry } from './zip.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
/** Limits of the bytes that are unpacked or copied: in total, and, beyond an allowance, as a multiple of the file's. */
const MAX_BYTES = 4 * GIB;
const MAX_RATIO = 20;
const ALLOWANCE = MIB;
const MAX_PICKLE = 64 * MIB;
/** Tensors in all dictionaries. */
const MAX_TENSORS = 100_000;
/** Dictionaries in dictionaries are searched for tensors down to this depth. */
const MAX_DEPTH = 4;
/** The integer that begins a file of before version 1.6. */
const LEGACY_MAGIC = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

const SAVE_WEIGHTS = 'save the weights alone: torch.save(model.state_dict(), file)';

/** The parts of a checkpoint in either format. */
interface Container {
  /** The value of the pickle. */
  readonly value: unknown;
  /** The bytes of a storage. @param where file and key, for messages. @throws DataError */
  storage(storage: StorageRef, where: string): Uint8Array;
}

/** Counts the bytes that are unpacked and copied. @throws DataError when there are too many */
type Budget = (bytes: number, where: string) => void;

/** True if the bytes begin as a file of torch.save does: a zip, or the pickle of the older format. */
export function isPth(bytes: Uint8Array): boolean {
  return startsWith(bytes, [0x50, 0x4b, 0x03, 0x04]) || isLegacy(bytes);
}

/**
 * Lists the dictionaries of tensors in a checkpoint. Tensors are read as contiguous copies in PyTorch's layout (Linear
 * [out, in], Conv2d OIHW, ConvTranspose2d IOHW), with their bits unchanged.
 *
 * @param file name, for messages
 * @throws DataError naming the file, and the entry, byte or key: not a file of torch.save, truncated, without a dictionary
 *   of tensors, sizes out of bounds or that disagree, big-endian numbers
 */
export function readPth(bytes: Uint8Array, file: string): TensorFile {
  return guardReading(file, () => {
    const budget = newBudget(bytes.length);
    const container = isLegacy(bytes) ? openLegacy(bytes, file) : openZip(bytes, file, budget);
    const read = (ref: TensorRef, key: string): StoredTensor =>
      tensorOf(ref, `${file}: key ${printable(key)}`, (storage, needed, where) => {
        budget(needed, where);
        return container.storage(storage, where);
      });
    return findDictionaries(container.value, read, file);
  });
}

function startsWith(bytes: Uint8Array, start: readonly number[], offset = 0): boolean {
  return start.every((byte, i) => bytes[offset + i] === byte);
}

function isLegacy(bytes: Uint8Array): boolean {
  // Protocols above 3 have a frame of nine bytes between the protocol and the integer.
  return bytes[0] === 0x80 && (startsWith(bytes, LEGACY_MAGIC, 2) || startsWith(bytes, LEGACY_MAGIC, 11));
}

function newBudget(fileBytes: number): Budget {
  let spent = 0;
  return (bytes, where) => {
    spent += bytes;
    if (spent > MAX_BYTES || spent > ALLOWANCE + MAX_RATIO * fileBytes) {
      throw new DataError(
        `${where}: reading it would need ${spent} bytes, the file has ${fileBytes}; ` +
          'damaged or made to fill the memory, fetch it again',
      );
    }
  };
}

/** What the pickle's persistent ids and functions mean. `storages` collects what is named, by key. */
function handlersFor(storages: Map<string, StorageRef>): PickleHandlers {
  return {
    call(name, args) {
      switch (name) {
        case 'torch._utils._rebuild_tensor':
        case 'torch._utils._rebuild_tensor_v2':
          return new TensorRef(args[0], args[1], args[2], args[3]);
        case 'torch._utils._rebuild_tensor_v3':
          return new TensorRef(args[0], args[1], args[2], args[3], args[6]);
        case 'torch._utils._rebuild_parameter':
        case 'torch._utils._rebuild_parameter_with_state':
          return args[0];
        case 'torch._tensor._rebuild_from_type_v2': {
          // A tensor of a subclass or with attributes: the function that builds it, and its arguments.
          const [inner, , list] = args as [{ name?: unknown } | undefined, unknown, unknown];
          const isTensor = inner?.name === 'torch._utils._rebuild_tensor_v2' && Array.isArray(list);
          return isTensor ? new TensorRef(list[0], list[1], list[2], list[3]) : undefined;
        }
        default:
          return undefined;
      }
    },
    persistent(id, where) {
      const [tag, type, key, , count, view] = Array.isArray(id) ? id : [];
      if (tag === 'module') return new PickleObject(type instanceof PickleGlobal ? type.name : 'an unnamed class');
      const storage = tag === 'storage' ? storageOf(type, key, count, view) : undefined;
      if (!storage) throw new DataError(`${where}: a persistent id is not a storage; ${SAVE_WEIGHTS}`);
      storages.set(storage.key, storages.get(storage.key) ?? storage);
      return storage;
    },
  };
}

function openZip(bytes: Uint8Array, file: string, budget: Budget): Container {
  const entries = readZipDirectory(bytes, file);
  const pickleName = [...entries.keys()]
    .filter((name) => /(^|\/)data\.pkl$/.test(name))
    .reduce<string | undefined>((a, b) => (a !== undefined && a.length <= b.length ? a : b), undefined);
  if (pickleName === undefined) throw new DataError(`${file}: ${otherZip([...entries.keys()])}`);
  const root = pickleName.slice(0, -'data.pkl'.length);
  if (entries.has(`${root}constants.pkl`)) {
    throw new DataError(
      `${file}: a TorchScript program, not a checkpoint; load it with torch.jit.load and ${SAVE_WEIGHTS}`,
    );
  }
  const content = (entry: ZipEntry) => {
    if (entry.method !== 0) budget(entry.size, `${file}: ${printable(entry.name)}`);
    return readZipEntry(bytes, entry, file);
  };
  const pickleEntry = entries.get(pickleName) as ZipEntry;
  if (pickleEntry.size > MAX_PICKLE) {
    throw new DataError(`${file}: ${printable(pickleName)} has more than ${MAX_PICKLE} bytes; ${SAVE_WEIGHTS}`);
  }
  const order = entries.get(`${root}byteorder`);
  const byteOrder = order ? new TextDecoder().decode(content(order).subarray(0, 16)).trim() : 'little';
  if (byteOrder !== 'little') {
    const where = `${file}: ${printable(`${root}byteorder`)}`;
    throw new DataError(`${where} is "${printable(byteOrder)}"; save it on a little-endian machine`);
  }
  const { value } = readPickle(content(pickleEntry), 0, `${file}: ${printable(pickleName)}`, handlersFor(new Map()));
  const unpacked = new Map<string, Uint8Array>();
  return {
    value,
    storage({ key, type, count }, where) {
      const name = `${root}data/${key}`;
      const entry = entries.get(name);
      const needed = count * type.itemSize;
      if (entry?.size !== needed) {
        throw new DataError(
          `${where}: its storage ${printable(name)} has ${entry?.size ?? 'no'} bytes, ` +
            `${count} of ${type.dtype} need ${needed}; the file is damaged`,
        );
      }
      const stored = unpacked.get(name) ?? content(entry);
      unpacked.set(name, stored);
      return stored;
    },
  };
}

/** What a zip without a pickle of torch.save is, and what to do. */
function otherZip(names: readonly string[]): string {
  const format = foreignZip(names, 'network');
  if (format) return `${format.name} (it holds ${printable(names[0])}), not a checkpoint; ${format.advice}`;
  const checkpoint = names.find((name) => /\.(pth|pt|ckpt|tar|bin|safetensors)$/i.test(name));
  if (checkpoint !== undefined) {
    return `a zip that holds ${printable(checkpoint)}; unpack it and give the file inside`;
  }
  const first = names.find((name) => !name.startsWith('__MACOSX/'));
  const shown = first === undefined ? 'it holds no file' : `it holds ${printable(first)}`;
  return `no data.pkl in this zip (${shown}), so torch.save did not write it; give a .pth file`;
}

/** Opens a file of before version 1.6: magic number, version, sizes of the writing machine, value, keys; then the storages. */
function openLegacy(bytes: Uint8Array, file: string): Container {
  const storages = new Map<string, StorageRef>();
  const none: PickleHandlers = { call: () => undefined, persistent: () => undefined };
  let at = 0;
  const next = (handlers: PickleHandlers) => {
    const { value, end } = readPickle(bytes, at, file, handlers);
    at = end;
    return value;
  };
  next(none);
  const version = next(none);
  if (version !== 1001) {
    const problem = `version ${describeNumber(version)} of the older format, only 1001 is read`;
    throw new DataError(`${file}: ${problem}; ${SAVE_WEIGHTS}`);
  }
  const system = next(none);
  if (system instanceof Map && system.get('little_endian') === false) {
    throw new DataError(`${file}: its numbers are big-endian; save it on a little-endian machine`);
  }
  const value = next(handlersFor(storages));
  const keys = next(none);
  if (!Array.isArray(keys)) throw new DataError(`${file}: byte ${at}: no list of storages; the file is damaged`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const places = new Map<string, Uint8Array>();
  for (const key of keys) {
    const storage = storages.get(key);
    const where = `${file}: byte ${at}: storage ${printable(String(typeof key === 'string' ? key : ''))}`;
    if (!storage) throw new DataError(`${where}: no tensor names it; the file is damaged`);
    const needed = storage.count * storage.type.itemSize;
    const count =
      at + 8 <= bytes.length ? view.getUint32(at, true) + 2 ** 32 * view.getUint32(at + 4, true) : Number.NaN;
    if (count !== storage.count || at + 8 + needed > bytes.length) {
      throw new DataError(
        `${where}: truncated or damaged, ${storage.count} elements are missing; fetch the file again`,
      );
    }
    places.set(storage.key, bytes.subarray(at + 8, at + 8 + needed));
    at += 8 + needed;
  }
  return {
    value,
    storage({ key, type, count }, where) {
      const stored = places.get(key);
      const needed = count * type.itemSize;
      if (stored?.length !== needed) {
        throw new DataError(
          `${where}: its storage ${printable(key)} has ${stored?.length ?? 'no'} bytes, ` +
            `${count} of ${type.dtype} need ${needed}; the file is damaged`,
        );
      }
      return stored;
    },
  };
}

const describeNumber = (value: unknown) => (typeof value === 'number' ? String(value) : describeValue(value));

/** Searches the value of a checkpoint for dictionaries of tensors. Each is visited one time, however often it is named. */
function findDictionaries(top: unknown, read: (ref: TensorRef, key: string) => StoredTensor, file: string): TensorFile {
  const root = itemsOf(top);
  if (!root) {
    const what = top instanceof TensorRef ? 'a single tensor' : describeValue(top);
    const run = top instanceof PickleObject ? ', of which nothing was run' : '';
    throw new DataError(`${file}: holds ${what}${run}, not a dictionary of tensors; ${SAVE_WEIGHTS}`);
  }
  const dictionaries: TensorDictionary[] = [];
  const objects = new Map<string, string>();
  const visited = new Set([root]);
  const queue = [{ items: root, path: '', depth: 1 }];
  let count = 0;
  for (const { items, path, depth } of queue) {
    const tensors = new Map<string, StoredTensor>();
    for (const [key, value] of items) {
      if (typeof key !== 'string') continue;
      const inner = itemsOf(value);
      const innerPath = path === '' ? key : `${path}.${key}`;
      if (value instanceof TensorRef) {
        if (++count > MAX_TENSORS)
          throw new DataError(`${file}: has more than ${MAX_TENSORS} tensors; ${SAVE_WEIGHTS}`);
        tensors.set(key, read(value, key));
      } else if (inner && !visited.has(inner) && depth < MAX_DEPTH) {
        visited.add(inner);
        queue.push({ items: inner, path: innerPath, depth: depth + 1 });
      } else if (value instanceof PickleObject && depth === 1) {
        objects.set(key, value.name);
      }
    }
    if (tensors.size > 0) dictionaries.push({ path, tensors });
  }
  if (dictionaries.length === 0) {
    const [object] = objects;
    const what = object
      ? `key ${printable(object[0])} is an object of ${printable(object[1])}, of which nothing was run`
      : `its keys: ${
          printable(
            [...root.keys()]
              .filter((key) => typeof key === 'string')
              .slice(0, 4)
              .join(', '),
          ) || 'none'
        }`;
    throw new DataError(`${file}: no tensors in its dictionaries (${what}); ${SAVE_WEIGHTS}`);
  }
  return { dictionaries, objects };
}

/** The items of a dictionary, or of an object whose class is derived from dict. */
function itemsOf(value: unknown): Map<unknown, unknown> | undefined {
  if (value instanceof PickleObject) return value.items;
  return value instanceof Map ? value : undefined;
}
