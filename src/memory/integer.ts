/** Two's complement integers of n bits, symmetric about zero. Reference of shaders/memory/format_integer.wgsl. */

export const INTEGER_KINDS = ['int8', 'int4'] as const;
export type IntegerKind = (typeof INTEGER_KINDS)[number];

export const INTEGER_BITS: Readonly<Record<IntegerKind, 4 | 8>> = { int8: 8, int4: 4 };

/**
 * The value of one unit, chosen so that `largest` = max |w| gets the largest code, and its inverse; both f32, rounded once.
 * Tensors whose values are all zero, or nearly zero, get a unit of 1.
 * @param bits n, 4 or 8
 */
export function integerScale(largest: number, bits: number): { scale: number; inverse: number } {
  const range = 2 ** (bits - 1) - 1;
  const scale = Math.fround(largest / range);
  return largest < 2 ** -100 ? { scale: 1, inverse: 1 } : { scale, inverse: Math.fround(range / largest) };
}

/** Encodes a weight as a code, 0 .. 2^bits - 1: the nearest number of units, ties to even, within +-(2^(bits-1) - 1). */
export function encodeInteger(weight: number, bits: number, inverse: number): number {
  const range = 2 ** (bits - 1) - 1;
  const units = Math.max(-range, Math.min(range, roundHalfEven(Math.fround(weight * inverse))));
  return units < 0 ? units + 2 ** bits : units + 0;
}

/** Decodes a code to its value in f32. Only a flip produces the code of -2^(bits-1) units. */
export function decodeInteger(code: number, bits: number, scale: number): number {
  return Math.fround((code >= 2 ** (bits - 1) ? code - 2 ** bits : code) * scale);
}

/** Rounds to the nearest whole number, ties to even. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
