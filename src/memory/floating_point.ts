/**
 * IEEE 754 words as number formats: binary32, binary16 and bfloat16. Reference of shaders/memory/format_fp32.wgsl, _fp16 and
 * _bf16. Values are handled as bits, because a flip can make a NaN, and JavaScript may change the bits of a NaN that it
 * copies as a number.
 */

export const FLOAT_KINDS = ['fp32', 'fp16', 'bf16'] as const;
export type FloatKind = (typeof FLOAT_KINDS)[number];

/** How a code whose exponent is all ones is decoded: unchanged, as zero, or as the largest finite value with its sign. */
export const NON_FINITE_POLICIES = ['propagate', 'zero', 'saturate'] as const;
export type NonFinitePolicy = (typeof NON_FINITE_POLICIES)[number];

export const FLOAT_BITS: Readonly<Record<FloatKind, 16 | 32>> = { fp32: 32, fp16: 16, bf16: 16 };

/** Largest finite value as bits of an f32. */
const LARGEST: Readonly<Record<FloatKind, number>> = { fp32: 0x7f7fffff, fp16: 0x477fe000, bf16: 0x7f7f0000 };

const word = new DataView(new ArrayBuffer(4));

export function bitsOfFloat(value: number): number {
  word.setFloat32(0, value);
  return word.getUint32(0);
}

export function floatOfBits(bits: number): number {
  word.setUint32(0, bits);
  return word.getFloat32(0);
}

/** Encodes a finite weight, given as the bits of an f32: rounds to nearest even, and saturates instead of overflowing. */
export function encodeFloat(kind: FloatKind, bits: number): number {
  if (kind === 'fp32') return bits >>> 0;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (kind === 'bf16') {
    return sign | Math.min((magnitude + 0x7fff + ((magnitude >>> 16) & 1)) >>> 16, 0x7f7f);
  }
  // Below 2^-14 a code counts units of 2^-24; f32 holds its nearest-even rounding exactly after adding 2^-1.
  if (magnitude < 0x38800000)
    return sign | ((bitsOfFloat(Math.fround(floatOfBits(magnitude) + 0.5)) - 0x3f000000) & 0x7ff);
  const rebased = magnitude - 0x38000000;
  return sign | Math.min((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13, 0x7bff);
}

/** Decodes a code to its value, as the bits of an f32. @param policy applies to values that are not finite */
export function decodeFloat(kind: FloatKind, code: number, policy: NonFinitePolicy): number {
  let bits = code;
  if (kind === 'bf16') bits = code << 16;
  if (kind === 'fp16') {
    const magnitude = code & 0x7fff;
    if (magnitude >= 0x7c00) bits = (magnitude << 13) | 0x7f800000;
    else if (magnitude >= 0x400) bits = (magnitude << 13) + 0x38000000;
    else bits = bitsOfFloat(magnitude * 2 ** -24);
    bits |= (code & 0x8000) << 16;
  }
  if ((bits & 0x7f800000) !== 0x7f800000 || policy === 'propagate') return bits >>> 0;
  return policy === 'zero' ? 0 : ((bits & 0x80000000) | LARGEST[kind]) >>> 0;
}
