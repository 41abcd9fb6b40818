/** Tensors in files that hold more than one model needs: they are listed first, and read one by one. */
import { DataError, MidasError } from '../errors.ts';
import { printable } from '../printable.ts';
import type { Tensor } from './safetensors.ts';

/** A tensor in a file, which has not been read yet. */
export interface StoredTensor {
  /** Element type as safetensors files call it, or the file's own name for a type that cannot be read. */
  readonly dtype: string;
  /** Sizes in PyTorch's order. @throws DataError if the file's are not sizes */
  readonly shape: readonly number[];
  /** @throws DataError if the type cannot be read, or the tensor does not lie in the file */
  read(): Tensor;
}

/** A dictionary of tensors in a file. */
export interface TensorDictionary {
  /** The keys that lead to it, joined by dots; empty for the file's top level. */
  readonly path: string;
  /** At least one tensor; the other values of the dictionary are left out. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

export interface TensorFile {
  readonly dictionaries: readonly TensorDictionary[];
  /** Keys whose values are objects of Python, which are not read, and the names of their classes or functions. */
  readonly objects: ReadonlyMap<string, string>;
}

/** Calls `read`; any error that is not typed becomes a DataError of one line about the file. */
export function guardReading<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof MidasError) throw cause;
    const reason = printable(cause instanceof Error ? cause.message : String(cause));
    throw new DataError(`${file}: cannot be read (${reason}); give another file, or one with the weights alone`, {
      cause,
    });
  }
}
