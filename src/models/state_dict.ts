/** What the import of every network does with the tensors of a state dict: their names, their numbers, and which copy counts. */
import { DataError } from '../errors.ts';
import { toFloat32 } from '../formats/float.ts';
import type { Tensor } from '../formats/safetensors.ts';
import type { StoredTensor } from '../formats/stored_tensor.ts';
import { printable } from '../printable.ts';

/** Parts of names that DataParallel, torch.compile and FSDP add, anywhere in a name. */
export const WRAPPERS = /(?<=^|\.)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\./g;

/** Keys under which training scripts store a model, the most usual first: they decide where a file has several copies. */
const USUAL_KEYS = [
  'model',
  'state_dict',
  'model_state_dict',
  'model_state',
  'net',
  'network',
  'module',
  'weights',
  'params',
];

/** The place of a dictionary among several copies of a network: the lowest counts. @param path its keys, joined by dots */
export function keyRank(path: string): number {
  if (path === '') return -1;
  const index = USUAL_KEYS.indexOf(path.split('.').at(-1) ?? '');
  return index < 0 ? Number.POSITIVE_INFINITY : index;
}

/** The tensors by their names without the parts that wrappers add, unless two names would become the same. */
export function withoutWrappers(tensors: ReadonlyMap<string, StoredTensor>): ReadonlyMap<string, StoredTensor> {
  const stripped = new Map([...tensors].map(([name, tensor]) => [name.replace(WRAPPERS, ''), tensor]));
  return stripped.size === tensors.size ? stripped : tensors;
}

/** The first three names, printable. */
export function firstNames(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => printable(name.slice(0, 40)));
  return names.length > 3 ? `${shown.join(', ')} and ${names.length - 3} more` : shown.join(', ');
}

/** The elements of a floating-point tensor as float32. @throws DataError for a number that is finite in float64 only */
export function asFloat32(tensor: Tensor, where: string): Tensor {
  const data = toFloat32(tensor) as Float32Array<ArrayBuffer>;
  if (tensor.dtype === 'F64') {
    const wide = tensor.data as Float64Array;
    const at = data.findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(wide[i]));
    if (at >= 0) {
      throw new DataError(`${where}: element ${at} is ${wide[at]}, too large for float32; train or export it again`);
    }
  }
  return { dtype: 'F32', shape: tensor.shape, data };
}

/** Notes about the conversion of weights of these types. */
export function conversionNotes(types: ReadonlySet<string>, file: string): string[] {
  const exact = [types.has('F16') ? 'float16' : '', types.has('BF16') ? 'bfloat16' : ''].filter(Boolean);
  return [
    ...(types.has('F64') ? [`${file}: its float64 weights were rounded to float32.`] : []),
    ...(exact.length > 0 ? [`${file}: its ${exact.join(' and ')} weights became float32, which is exact.`] : []),
  ];
}
