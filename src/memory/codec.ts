/** Number formats, as the reference of the device uses them: encoding, decoding, and packing of codes into words. */
import type { NumberFormat } from './config.ts';
import {
  decodeFixed,
  encodeFixed,
  encodeTwosComplement,
  type FixedEncoding,
  type FixedRepresentation,
} from './fixed_point.ts';
import {
  bitsOfFloat,
  decodeFloat,
  encodeFloat,
  FLOAT_BITS,
  type FloatKind,
  type NonFinitePolicy,
} from './floating_point.ts';
import { decodeInteger, encodeInteger, INTEGER_BITS } from './integer.ts';

/** Codes are fetched, and their faults sampled, in blocks of this many. */
export const BLOCK_CODES = 16;

/** Bits that a code takes in memory. */
export type StorageBits = 4 | 8 | 16 | 32;

/** A number format fitted to a tensor. */
export interface Codec {
  /** Bits of a code that carry its value, at most `storageBits`. */
  readonly bits: number;
  /** Bits that a code takes in memory. */
  readonly storageBits: StorageBits;
  /** Encodes a finite weight as a code, 0 .. 2^bits - 1. @param row its row, needed where each row has its own scale */
  encode(weight: number, row: number): number;
  /** Decodes a code to its value, as the bits of an f32. */
  decode(code: number, row: number): number;
}

/** The fewest bits of memory that hold a code of `bits` bits, 2..32. */
export function storageBitsOf(bits: number): StorageBits {
  return bits <= 4 ? 4 : bits <= 8 ? 8 : bits <= 16 ? 16 : 32;
}

const CODE_BITS = { ...INTEGER_BITS, ...FLOAT_BITS };

/** The number of bits of a code in a number format. */
export function formatBits(format: NumberFormat): number {
  return format.kind === 'fixed' ? format.bits : CODE_BITS[format.kind];
}

/** The codec of fixed point. @param exponent one unit of a code is worth 2^exponent */
export function fixedCodec(
  bits: number,
  exponent: number,
  encoding: FixedEncoding,
  representation: FixedRepresentation = 'sign-magnitude',
): Codec {
  if (representation === 'twos-complement') {
    return {
      bits,
      storageBits: storageBitsOf(bits),
      encode: (weight) => encodeTwosComplement(weight, bits, exponent),
      decode: (code) => bitsOfFloat(decodeInteger(code, bits, 2 ** exponent)),
    };
  }
  return {
    bits,
    storageBits: storageBitsOf(bits),
    encode: (weight) => encodeFixed(weight, bits, exponent, encoding),
    decode: (code) => bitsOfFloat(decodeFixed(code, bits, exponent)),
  };
}

/** The codec of two's complement integers. @param scales one for all rows, or one per row; see integerScale */
export function integerCodec(bits: 4 | 8, scales: readonly { scale: number; inverse: number }[]): Codec {
  const of = (row: number) => scales[scales.length === 1 ? 0 : row];
  return {
    bits,
    storageBits: bits,
    encode: (weight, row) => encodeInteger(weight, bits, of(row).inverse),
    decode: (code, row) => bitsOfFloat(decodeInteger(code, bits, of(row).scale)),
  };
}

/** The codec of a floating-point format. @param policy applies to codes that are not finite */
export function floatCodec(kind: FloatKind, policy: NonFinitePolicy): Codec {
  return {
    bits: FLOAT_BITS[kind],
    storageBits: FLOAT_BITS[kind],
    encode: (weight) => encodeFloat(kind, bitsOfFloat(weight)),
    decode: (code) => decodeFloat(kind, code, policy),
  };
}

/** Packs 32 / storageBits codes per u32, the first in the lowest bits: the memory image as the shaders read it. */
export function packCodes(codes: ArrayLike<number>, storageBits: StorageBits): Uint32Array<ArrayBuffer> {
  const each = 32 / storageBits;
  const words = new Uint32Array(Math.ceil(codes.length / each));
  for (let i = 0; i < codes.length; i++) words[Math.floor(i / each)] |= codes[i] << (storageBits * (i % each));
  return words;
}

/** Code `index` of packed words. */
export function codeAt(words: Uint32Array, index: number, storageBits: StorageBits): number {
  if (storageBits === 32) return words[index];
  const each = 32 / storageBits;
  return (words[Math.floor(index / each)] >>> (storageBits * (index % each))) & (2 ** storageBits - 1);
}
