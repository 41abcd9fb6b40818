/** Tensors as the pickle of torch.save describes them: strided views of storages. */
import { DataError } from '../errors.ts';
import { printable } from '../printable.ts';
import { describeValue, PickleGlobal } from './pickle_values.ts';
import { type Dtype, typedArray } from './safetensors.ts';
import type { StoredTensor } from './stored_tensor.ts';

/** PyTorch allows 64 dimensions. */
const MAX_RANK = 64;

interface StorageType {
  /** Name in safetensors files, or PyTorch's if tensors of this type are not read. */
  readonly dtype: string;
  /** Absent if tensors of this type are not read. */
  readonly readAs?: Dtype;
  /** Bytes per element. */
  readonly itemSize: number;
}

const readable = (dtype: Dtype, itemSize: number): StorageType => ({ dtype, readAs: dtype, itemSize });

const STORAGES: ReadonlyMap<string, StorageType> = new Map([
  ['DoubleStorage', readable('F64', 8)],
  ['FloatStorage', readable('F32', 4)],
  ['HalfStorage', readable('F16', 2)],
  ['BFloat16Storage', readable('BF16', 2)],
  ['LongStorage', readable('I64', 8)],
  ['IntStorage', readable('I32', 4)],
  ['ShortStorage', readable('I16', 2)],
  ['CharStorage', readable('I8', 1)],
  ['ByteStorage', readable('U8', 1)],
  ['BoolStorage', readable('BOOL', 1)],
  ['ComplexFloatStorage', { dtype: 'complex64', itemSize: 8 }],
  ['ComplexDoubleStorage', { dtype: 'complex128', itemSize: 16 }],
  ['QInt8Storage', { dtype: 'qint8', itemSize: 1 }],
  ['QUInt8Storage', { dtype: 'quint8', itemSize: 1 }],
  ['QInt32Storage', { dtype: 'qint32', itemSize: 4 }],
  ['QUInt4x2Storage', { dtype: 'quint4x2', itemSize: 1 }],
  ['QUInt2x4Storage', { dtype: 'quint2x4', itemSize: 1 }],
  ['UntypedStorage', { dtype: 'untyped', itemSize: 1 }],
]);

/** A storage as a pickle names it. */
export class StorageRef {
  constructor(
    readonly type: StorageType,
    readonly key: string,
    /** Number of elements. */
    readonly count: number,
    /** Elements before the first one of this view; files of before PyTorch 1.6 have views of storages. */
    readonly offset: number,
    /** Elements of this view. */
    readonly length: number,
  ) {
    Object.freeze(this);
  }
}

/** The storage of a persistent id; undefined if it is not one of torch.save. */
export function storageOf(type: unknown, key: unknown, count: unknown, view: unknown): StorageRef | undefined {
  if (!(type instanceof PickleGlobal) || typeof key !== 'string' || !isCount(count)) return undefined;
  const found = STORAGES.get(type.name.replace(/^torch\.(cuda\.|storage\.)?/, ''));
  if (!found || !type.name.startsWith('torch.')) return undefined;
  if (!Array.isArray(view)) return new StorageRef(found, key, count, 0, count);
  const [, offset, length] = view;
  if (!isCount(offset) || !isCount(length) || offset + length > count) return undefined;
  return new StorageRef(found, key, count, offset, length);
}

/** A tensor as a pickle describes it: a view of a storage, not checked yet. */
export class TensorRef {
  constructor(
    readonly storage: unknown,
    readonly offset: unknown,
    readonly shape: unknown,
    readonly stride: unknown,
    /** Type of the elements, if it is not that of the storage. */
    readonly dtype?: unknown,
  ) {
    Object.freeze(this);
  }
}

/** A view that lies in its storage; sizes in elements. */
interface View {
  readonly storage: StorageRef;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly elements: number;
}

/**
 * The tensor that a pickle describes.
 * @param where file and key, for messages
 * @param bytesOf returns the bytes of a storage, of which `needed` will be copied
 */
export function tensorOf(
  ref: TensorRef,
  where: string,
  bytesOf: (storage: StorageRef, needed: number, where: string) => Uint8Array,
): StoredTensor {
  return {
    get dtype() {
      if (ref.dtype !== undefined) return printable(ref.dtype instanceof PickleGlobal ? ref.dtype.name : 'unknown');
      return ref.storage instanceof StorageRef ? ref.storage.type.dtype : 'unknown';
    },
    get shape() {
      return checkShape(ref, where);
    },
    read() {
      const view = checkView(ref, where);
      const { readAs, itemSize } = view.storage.type;
      if (readAs === undefined || ref.dtype !== undefined) {
        throw new DataError(`${where}: tensors of type ${this.dtype} are not read; save it as float32`);
      }
      const bytes = bytesOf(view.storage, view.elements * itemSize, where);
      return { dtype: readAs, shape: [...view.shape], data: typedArray(readAs, gather(view, itemSize, bytes)) };
    },
  };
}

const SAVE_AGAIN = 'save it again';

function checkShape({ shape }: TensorRef, where: string): readonly number[] {
  if (!isCountList(shape)) {
    throw new DataError(
      `${where}: its shape is ${describeValue(shape)}, not a list of at most ${MAX_RANK} sizes; ${SAVE_AGAIN}`,
    );
  }
  return shape;
}

function checkView(ref: TensorRef, where: string): View {
  const { storage, offset, stride } = ref;
  const shape = checkShape(ref, where);
  if (!(storage instanceof StorageRef) || !isCount(offset) || !isCountList(stride)) {
    throw new DataError(`${where}: storage, offset or stride is missing or not a whole number >= 0; ${SAVE_AGAIN}`);
  }
  const elements = shape.reduce((product, size) => product * size, 1);
  const last = offset + shape.reduce((sum, size, i) => sum + (size - 1) * stride[i], 0);
  if (shape.length !== stride.length || (elements > 0 && !(last < storage.length)) || !isCount(elements)) {
    throw new DataError(
      `${where}: shape [${shape}] with stride [${stride}] from element ${offset} does not lie in its storage ` +
        `${printable(storage.key)} of ${storage.length}; the file is damaged`,
    );
  }
  return { storage, offset: storage.offset + offset, shape, stride, elements };
}

/** Copies a view's elements in row-major order, as words of their size and never as floats. */
function gather({ offset, shape, stride, elements }: View, itemSize: number, bytes: Uint8Array): ArrayBuffer {
  const packed = new Uint8Array(elements * itemSize);
  if (elements === 0) return packed.buffer;
  // Without the dimensions of one element, which would only make every step longer.
  const axes = [...shape.keys()].filter((axis) => shape[axis] !== 1);
  const sizes = axes.map((axis) => shape[axis]);
  const strides = axes.map((axis) => stride[axis]);
  const isContiguous = sizes.every(
    (_, i) => strides[i] === sizes.slice(i + 1).reduce((product, inner) => product * inner, 1),
  );
  if (isContiguous) {
    packed.set(bytes.subarray(offset * itemSize, offset * itemSize + packed.length));
    return packed.buffer;
  }
  // Storages in a zip may begin at any byte.
  const isAligned = bytes.byteOffset % Math.min(itemSize, 4) === 0;
  const Words = !isAligned || itemSize === 1 ? Uint8Array : itemSize === 2 ? Uint16Array : Uint32Array;
  const words = itemSize / Words.BYTES_PER_ELEMENT;
  const source = new Words(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / Words.BYTES_PER_ELEMENT);
  const target = new Words(packed.buffer);
  const index = new Uint32Array(sizes.length);
  let from = offset;
  for (let to = 0; to < elements; to++) {
    for (let word = 0; word < words; word++) target[to * words + word] = source[from * words + word];
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < sizes[axis]) break;
      from -= strides[axis] * sizes[axis];
      index[axis] = 0;
    }
  }
  return packed.buffer;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

const isCountList = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= MAX_RANK && value.every(isCount);
