/** Bits of a code by what they are worth, and memories in which only one kind of them fails. */
import { formatBits } from './codec.ts';
import type { LayerMemory, NumberFormat, StoredMemory } from './config.ts';
import type { FloatKind } from './floating_point.ts';

/** The sign; the upper half of the other bits, for floating point the exponent; and the bits below. */
export const PLANES = ['sign', 'high', 'low'] as const;
export type Plane = (typeof PLANES)[number];

/** Bits of an exponent: what is below it is the mantissa. */
const EXPONENT_BITS: Readonly<Record<FloatKind, number>> = { fp32: 8, fp16: 5, bf16: 8 };

/** The first bit of a kind, 0 for the lowest of a code, and their number. */
function planeBits(format: NumberFormat, plane: Plane): { readonly first: number; readonly count: number } {
  const below = formatBits(format) - 1;
  const high = 'nonFinite' in format ? EXPONENT_BITS[format.kind] : Math.ceil(below / 2);
  if (plane === 'sign') return { first: below, count: 1 };
  return plane === 'high' ? { first: below - high, count: high } : { first: 0, count: below - high };
}

/** A memory in which only the bits of one kind flip, each at the same rate; undefined if the format has none of them. */
export function planeMemory(format: NumberFormat, bitErrorRate: number, plane: Plane): StoredMemory | undefined {
  const { first, count } = planeBits(format, plane);
  if (count === 0) return undefined;
  const rates = Array.from({ length: first + count }, (_, bit) => (bit < first ? 0 : bitErrorRate));
  return { kind: 'stored', format, faults: [{ kind: 'bit-plane', rates, drawn: 'read' }], protectedBits: 0 };
}

/** The kind of bits that alone flip in a memory, their rate and their share of all bits; undefined for other memories. */
export function planeOf(memory: LayerMemory): { plane: Plane; rate: number; share: number } | undefined {
  if (memory.kind !== 'stored') return undefined;
  const [fault] = memory.faults;
  const rate = fault?.kind === 'bit-plane' ? (fault.rates.at(-1) ?? 0) : 0;
  const plane = PLANES.find(
    (each) => JSON.stringify(planeMemory(memory.format, rate, each)) === JSON.stringify(memory),
  );
  if (rate === 0 || plane === undefined) return undefined;
  return { plane, rate, share: planeBits(memory.format, plane).count / formatBits(memory.format) };
}
