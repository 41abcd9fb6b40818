/**
 * Fields of protocol buffers (https://protobuf.dev/programming-guides/encoding/), read without copies and within bounds: the sizes
 * of a damaged file cost no memory that the file does not have.
 */
import { PbfReader } from 'pbf';
import { DataError } from '../errors.ts';

/** Messages, names and numbers of lists in a file; a network of 1000 layers has about 50,000. Tensors' elements do not count. */
export const MAX_ITEMS = 500_000;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** The file whose messages are read. */
export interface Source {
  readonly file: string;
  readonly bytes: Uint8Array;
  /** How many of {@link MAX_ITEMS} may still come. */
  itemsLeft: number;
}

/** Reads one field of a message; fields that it does not consume are skipped. */
export type FieldReader = (field: number, reader: PbfReader) => void;

/** Calls `read` with every field of a message. @throws DataError if its fields do not end where it ends */
export function readMessage(source: Source, bytes: Uint8Array, what: string, read: FieldReader): void {
  spend(source, 1);
  const reader = new PbfReader(bytes);
  reader.readFields((field) => read(field, reader), undefined);
  if (reader.pos !== bytes.length) throw damaged(source, reader, `a ${what} ends in the middle of a field`);
}

function damaged({ file, bytes }: Source, reader: PbfReader, problem: string): DataError {
  const at = reader.buf.byteOffset - bytes.byteOffset + Math.min(reader.pos, reader.buf.length);
  return new DataError(`${file}: byte ${at}: ${problem}; the file is truncated or damaged, fetch it again`);
}

export function spend(source: Source, items: number): void {
  source.itemsLeft -= items;
  if (source.itemsLeft < 0) {
    throw new DataError(`${source.file}: it has more than ${MAX_ITEMS} nodes, names and numbers; the file is damaged`);
  }
}

function require(source: Source, reader: PbfReader, type: number): void {
  if (reader.type !== type) throw damaged(source, reader, 'a field has another type than ONNX gives it');
}

/** The bytes of a field that has a length, without a copy. @throws DataError if there are fewer */
export function bytesOf(source: Source, reader: PbfReader): Uint8Array {
  require(source, reader, BYTES);
  const length = reader.readVarint();
  const left = reader.length - reader.pos;
  if (!(length <= left)) throw damaged(source, reader, `a field has ${length} bytes, ${Math.max(0, left)} are left`);
  const begin = reader.pos;
  reader.pos += length;
  return reader.buf.subarray(begin, reader.pos);
}

export function textOf(source: Source, reader: PbfReader): string {
  spend(source, 1);
  return new TextDecoder().decode(bytesOf(source, reader));
}

export function integerOf(source: Source, reader: PbfReader): number {
  require(source, reader, VARINT);
  return reader.readVarint(true);
}

export function floatOf(source: Source, reader: PbfReader): number {
  require(source, reader, FIXED32);
  return reader.readFloat();
}

/** Adds the numbers of a field: one, or a list of them as writers pack it. */
export function addIntegers(source: Source, reader: PbfReader, numbers: number[]): void {
  const bytes = numbersOf(source, reader, VARINT);
  const inner = new PbfReader(bytes);
  while (inner.pos < bytes.length) {
    spend(source, 1);
    numbers.push(inner.readVarint(true));
  }
  if (inner.pos !== bytes.length) throw damaged(source, inner, 'a list of numbers ends in the middle of one');
}

export function addFloats(source: Source, reader: PbfReader, numbers: number[]): void {
  const bytes = numbersOf(source, reader, FIXED32);
  if (bytes.length % 4 !== 0) throw damaged(source, reader, 'a list of numbers ends in the middle of one');
  spend(source, bytes.length / 4);
  const inner = new PbfReader(bytes);
  while (inner.pos < bytes.length) numbers.push(inner.readFloat());
}

/** The bytes of the integers of a field. */
export const varintsOf = (source: Source, reader: PbfReader) => numbersOf(source, reader, VARINT);
/** The bytes of the numbers of 4 bytes of a field. */
export const fixed32Of = (source: Source, reader: PbfReader) => numbersOf(source, reader, FIXED32);
/** The bytes of the numbers of 8 bytes of a field. */
export const fixed64Of = (source: Source, reader: PbfReader) => numbersOf(source, reader, FIXED64);

/** The bytes of a field's numbers: of one, or of a list of them as writers pack it. @param type of one number */
function numbersOf(source: Source, reader: PbfReader, type: number): Uint8Array {
  if (reader.type === BYTES) return bytesOf(source, reader);
  require(source, reader, type);
  // Numbers that are not packed come one by one, and need memory each.
  spend(source, 1);
  const begin = reader.pos;
  reader.skip(type);
  if (reader.pos > reader.length) throw damaged(source, reader, 'a number ends in the middle');
  return reader.buf.subarray(begin, reader.pos);
}
