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
      return Float32Array.from(data as Float64Array);
    case 'BF16':
      return new Float32Array(Uint32Array.from(data as Uint16Array, (bits) => bits << 16).buffer);
    case 'F16':
      return Float32Array.from(data as Uint16Array, halfToNumber);
    default:
      return undefined;
  }
}

/** The value of the bits of IEEE binary16. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
