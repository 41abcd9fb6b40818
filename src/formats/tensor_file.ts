/** Reads tensors from a checkpoint of any format that is told by its bytes, whatever the file is called. */
import { DataError } from '../errors.ts';
import { printable } from '../printable.ts';
import { foreignFormat } from './foreign.ts';
import { isPth, readPth } from './pth.ts';
import { isSafetensors, readSafetensors } from './safetensors.ts';
import { guardReading, type StoredTensor, type TensorFile } from './stored_tensor.ts';

/**
 * Lists the tensors of a safetensors file or a file of torch.save.
 * @param file name, for messages
 * @throws DataError for another format, which is named, and for a damaged file
 */
export function readTensorFile(bytes: Uint8Array, file: string): TensorFile {
  if (isPth(bytes)) return readPth(bytes, file);
  if (isSafetensors(bytes)) return guardReading(file, () => safetensorsFile(bytes, file));
  const format = foreignFormat(bytes, 'network');
  if (format) throw new DataError(`${file}: ${format.name}, not a checkpoint; ${format.advice}`);
  throw new DataError(`${file}: neither a PyTorch checkpoint nor a safetensors file; give a .pth or .safetensors file`);
}

function safetensorsFile(bytes: Uint8Array, file: string): TensorFile {
  const { tensors, unread } = readSafetensors(bytes, file);
  const all = new Map<string, StoredTensor>();
  for (const [key, tensor] of tensors) all.set(key, { dtype: tensor.dtype, shape: tensor.shape, read: () => tensor });
  for (const [key, { dtype, shape }] of unread) {
    const read = () => {
      throw new DataError(`${file}: key ${printable(key)}: tensors of type ${dtype} are not read; save it as float32`);
    };
    all.set(key, { dtype, shape, read });
  }
  if (all.size === 0) throw new DataError(`${file}: holds no tensors; give a file with the weights`);
  return { dictionaries: [{ path: '', tensors: all }], objects: new Map() };
}
