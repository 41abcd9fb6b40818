/** Reads the parts of a pickle in turn: opcodes, numbers, lengths and texts. */
import { DataError } from '../errors.ts';
import { SKIPPED } from './pickle_values.ts';

/** Longer strings are no names; they are skipped. */
const MAX_TEXT = 4096;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The bytes of a pickle, and the offset of the next. Methods that read throw DataError where the pickle is cut short. */
export class PickleInput {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;
  /** Offset of the current opcode. */
  #opcodeAt: number;

  /** @param where the file and the part of it, for messages */
  constructor(bytes: Uint8Array, start: number, where: string) {
    this.at = start;
    this.#opcodeAt = start;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#where = where;
  }

  /** The place of the current opcode, for messages. */
  place(): string {
    return `${this.#where}: byte ${this.#opcodeAt}`;
  }

  refusal(problem: string): DataError {
    return new DataError(`${this.place()}: the pickle ${problem}`);
  }

  damaged(problem: string): DataError {
    return this.refusal(`${problem}; the file is damaged, fetch it again`);
  }

  /** Moves on by some bytes. @returns the offset of the first */
  skip(count: number): number {
    const from = this.at;
    if (!(count >= 0 && count <= this.#bytes.length - from)) throw this.damaged('is cut short');
    this.at += count;
    return from;
  }

  opcode(): number {
    this.#opcodeAt = this.at;
    return this.uint8();
  }

  uint8(): number {
    return this.#bytes[this.skip(1)];
  }

  uint16(): number {
    return this.#view.getUint16(this.skip(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.skip(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }

  /** Highest byte first, unlike all others. */
  float64(): number {
    return this.#view.getFloat64(this.skip(8));
  }

  length64(): number {
    const at = this.skip(8);
    return this.#view.getUint32(at, true) + 2 ** 32 * this.#view.getUint32(at + 4, true);
  }

  text(length: number): unknown {
    const from = this.skip(length);
    return length > MAX_TEXT ? SKIPPED : decoder.decode(this.#bytes.subarray(from, from + length));
  }

  /** The text up to the next line break. */
  line(): string {
    const from = this.at;
    const length = this.#bytes.subarray(from, from + MAX_TEXT).indexOf(0x0a);
    if (length < 0) throw this.damaged('has a name without an end');
    this.at += length + 1;
    return decoder.decode(this.#bytes.subarray(from, from + length));
  }

  /** A line with a number in decimal digits; `01` and `00` are booleans. */
  number(): unknown {
    const digits = this.line();
    if (digits === '01' || digits === '00') return digits === '01';
    const value = Number(digits.replace(/L$/, ''));
    return Number.isInteger(value) && !Number.isSafeInteger(value) ? SKIPPED : value;
  }

  /** An integer in two's complement, lowest byte first. */
  integer(length: number): unknown {
    const from = this.skip(length);
    if (length > 8) return SKIPPED;
    let value = length > 0 && this.#bytes[from + length - 1] >= 128 ? -1 : 0;
    for (let i = length - 1; i >= 0; i--) value = 256 * value + this.#bytes[from + i];
    return Number.isSafeInteger(value) ? value : SKIPPED;
  }
}
