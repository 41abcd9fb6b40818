/** How bits are stored so that fewer of them fail, or less important ones: inverted blocks, and bits in good places. */
import { ConfigError } from '../errors.ts';
import { BLOCK_CODES, formatBits, type StorageBits } from './codec.ts';
import type { NumberFormat } from './config.ts';
import type { FaultSource } from './faults/model.ts';

/** Exponent bits of the floating-point formats, which lie below the sign. */
const EXPONENT_BITS: Readonly<Record<string, number>> = { fp32: 8, fp16: 5, bf16: 8 };

/**
 * The bits of a code, the most significant first: from the highest down; in floating point the exponent comes before the sign.
 * @param width number of the lowest bits of a code that count
 */
export function bitsBySignificance({ kind }: NumberFormat, bits: number, width: number): number[] {
  const order = Array.from({ length: bits }, (_, i) => bits - 1 - i);
  const sign = order.splice(0, 1);
  order.splice(EXPONENT_BITS[kind] ?? 0, 0, ...sign);
  return order.filter((bit) => bit < width);
}

/**
 * The sources of a memory whose bits are stored by how often their places fail: a source that fails the cell in a place fails the
 * bit that is stored there. Which cells are drawn does not change.
 * @param width number of places of a code that can fail
 * @throws ConfigError for sources that fail several places, which say nothing about which places are good
 */
export function reorderedSources(
  sources: readonly FaultSource[],
  format: NumberFormat,
  width: number,
  where: string,
): FaultSource[] {
  const failing = new Array<number>(width).fill(0);
  for (const { bits, firstBit, rate, failure } of sources) {
    if (bits !== 1) {
      throw new ConfigError(
        `${where}.reordered: only faults of the model bit-plane say which places are good; drop the others`,
      );
    }
    failing[firstBit] += rate * failure;
  }
  // Of equally good places the higher one comes first, so that bits stay where they are if all are equal.
  const places = Array.from(failing, (_, place) => width - 1 - place).sort((a, b) => failing[a] - failing[b]);
  const order = bitsBySignificance(format, formatBits(format), width);
  const bitIn = new Map(places.map((place, i) => [place, order[i]]));
  return sources.map((source) => ({ ...source, firstBit: bitIn.get(source.firstBit)! }));
}

/** The value that inverted storage avoids; none if zeros and ones fail equally often. */
export type AvoidedValue = 'none' | 'one' | 'zero';

/** The stored value that fails more often in expectation, over all addresses. */
export function avoidedValue(sources: readonly FaultSource[]): AvoidedValue {
  let difference = 0;
  for (const { rate, failure, bits, stored, effect, lines } of sources) {
    const share = rate * failure * bits * (lines ? lines.to - lines.from : 1);
    const failsOnes = stored !== 'zero' && effect !== 'stuck-at-1';
    const failsZeros = stored !== 'one' && effect !== 'stuck-at-0';
    difference += share * (Number(failsOnes) - Number(failsZeros));
  }
  return difference === 0 ? 'none' : difference > 0 ? 'one' : 'zero';
}

/** A word with the lowest `bits` bits of every code. */
function codeMask(storageBits: StorageBits, bits: number): number {
  let mask = 0;
  for (let first = 0; first < 32; first += storageBits) mask += (2 ** bits - 1) * 2 ** first;
  return mask >>> 0;
}

/**
 * A block of 16 codes as inverted storage holds it: the lowest `bits` bits of every code are inverted if more than half of them
 * have the value to avoid. After Flip-N-Write (S. Cho and H. Lee, MICRO 2009), which inverts words so that fewer cells are
 * written; here fewer cells are in the state that fails. Reference of shaders/memory/faults_inverted.wgsl.
 */
export function asStored(
  block: Uint32Array,
  { storageBits, bits, avoided }: { storageBits: StorageBits; bits: number; avoided: AvoidedValue },
): Uint32Array {
  if (avoided === 'none') return block;
  const mask = codeMask(storageBits, bits);
  let ones = 0;
  for (const word of block) {
    for (let rest = (word & mask) >>> 0; rest !== 0; rest = (rest & (rest - 1)) >>> 0) ones++;
  }
  const cells = BLOCK_CODES * bits;
  const many = avoided === 'one' ? ones : cells - ones;
  return 2 * many > cells ? block.map((word) => word ^ mask) : block;
}
