/**
 * Sign-magnitude fixed point, the number format of the publication: n bits, of which the highest is the sign; one unit of
 * the magnitude is worth 2^exponent. Reference of shaders/memory/format_fixed.wgsl.
 */
import { encodeInteger, roundHalfEven } from './integer.ts';

/** `corrected`: round to nearest even, saturate. `faithful`: truncate, wrap modulo 2^(n-1), as the published code does. */
export const FIXED_ENCODINGS = ['corrected', 'faithful'] as const;
export type FixedEncoding = (typeof FIXED_ENCODINGS)[number];

/** How a negative value is stored: as its magnitude and a sign bit, or in two's complement. */
export const FIXED_REPRESENTATIONS = ['sign-magnitude', 'twos-complement'] as const;
export type FixedRepresentation = (typeof FIXED_REPRESENTATIONS)[number];

const bitsOf = new DataView(new ArrayBuffer(4));

/** ceil(log2 x) of a positive finite f32, exactly, from its bits. */
export function ceilLog2(x: number): number {
  bitsOf.setFloat32(0, x);
  const word = bitsOf.getUint32(0);
  const exponent = (word >>> 23) - 127;
  if (exponent === -127) return Math.ceil(Math.log2(x)); // subnormal: far below any weight that matters
  return (word & 0x7fffff) === 0 ? exponent : exponent + 1;
}

/**
 * The exponent of one unit for which `largest` fits n bits and `headroom` bits above it stay free. For `corrected`,
 * `largest` is max |w|; for `faithful` it is the signed maximum, and the exponent is one larger, as in the published code.
 * If `largest` is not positive, the exponent is that of 1.0.
 * @param bits n, 2..16
 */
export function fixedExponent(largest: number, bits: number, headroom: number, encoding: FixedEncoding): number {
  const range = largest > 0 ? ceilLog2(Math.fround(largest)) : 0;
  return range + (encoding === 'faithful' ? 1 : 0) + headroom - (bits - 1);
}

/** Encodes a weight as a code, 0 .. 2^bits - 1. Zero gets code 0. */
export function encodeFixed(weight: number, bits: number, exponent: number, encoding: FixedEncoding): number {
  const range = 2 ** (bits - 1);
  const units = Math.abs(weight) * 2 ** -exponent; // exact in float64
  const magnitude = encoding === 'faithful' ? Math.trunc(units) % range : Math.min(roundHalfEven(units), range - 1);
  return magnitude + (weight < 0 ? range : 0);
}

/**
 * Encodes a weight in two's complement: the values of {@link encodeFixed} with `corrected`, within +-(2^(bits-1) - 1) units.
 * Reference of shaders/memory/format_fixed_twos_complement.wgsl.
 */
export function encodeTwosComplement(weight: number, bits: number, exponent: number): number {
  return encodeInteger(weight, bits, 2 ** -exponent);
}

/**
 * Decodes a 16-bit code that shaders/memory/write_codes16.wgsl wrote. It is a two's complement integer: 2 m stands for the
 * magnitude m, and 1 - 2 m for the magnitude m with the sign bit set.
 * @param scale value of one unit, 2^exponent
 */
export function decodeCode16(code: number, scale: number): number {
  const twice = code >= 0x8000 ? code - 0x10000 : code;
  return twice % 2 === 0 ? (twice / 2) * scale : -((1 - twice) / 2) * scale;
}

/** Decodes a code to its value, which is -0 for the sign bit alone and never NaN or infinite. */
export function decodeFixed(code: number, bits: number, exponent: number): number {
  const range = 2 ** (bits - 1);
  const magnitude = (code % range) * 2 ** exponent;
  return code >= range ? -magnitude : magnitude;
}
