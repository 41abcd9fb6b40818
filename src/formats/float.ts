/** Floating-point tensors as float32. */
import { PartMemory, type Tensor } from './safetensors.ts';

/** Element types that {@link toFloat32} converts. */
export const FLOATING: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16']);

/**
 * The elements of a floating-point tensor as float32: those of F16 and BF16 exactly, those of F64 rounded to the nearest.
 * @param memory of elements of another type; by default their own
 * @returns undefined for a tensor of integers
 */
export function toFloat32({ dtype, data }: Tensor, memory = new PartMemory()): Float32Array<ArrayBuffer> | undefined {
  if (!FLOATING.has(dtype)) return undefined;
  if (dtype === 'F32') return data as Float32Array<ArrayBuffer>;
  const values = memory.array('F32', data.length) as Float32Array<ArrayBuffer>;
  if (dtype === 'F64') values.set(data as Float64Array);
  // Loops, because Float32Array.from needs many times the memory of its result.
  const bits = new Uint32Array(values.buffer, 0, values.length);
  if (dtype === 'BF16') for (let i = 0; i < bits.length; i++) bits[i] = (data as Uint16Array)[i] << 16;
  if (dtype === 'F16') for (let i = 0; i < bits.length; i++) values[i] = halfToNumber((data as Uint16Array)[i]);
  return values;
}

/** The value of the bits of IEEE binary16. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
