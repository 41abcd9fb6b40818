/** Floating-point tensors as float32. */
import type { Tensor } from './safetensors.ts';

/** Element types that {@link toFloat32} converts. */
export const FLOATING: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16']);

/**
 * The elements of a floating-point tensor as float32: those of F16 and BF16 exactly, those of F64 rounded to the nearest.
 * @returns undefined for a tensor of integers
 */
export function toFloat32({ dtype, data }: Tensor): Float32Array<ArrayBuffer> | undefined {
  switch (dtype) {
    case 'F32':
      return data as Float32Array<ArrayBuffer>;
    case 'F64':
      return new Float32Array(data as Float64Array);
    case 'BF16':
      return new Float32Array(new Uint32Array(data as Uint16Array).map((bits) => bits << 16).buffer);
    case 'F16':
      return halvesToFloat32(data as Uint16Array);
    default:
      return undefined;
  }
}

/** A loop, because Float32Array.from needs many times the memory of its result. */
function halvesToFloat32(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = halfToNumber(halves[i]);
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
