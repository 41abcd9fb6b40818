import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readZipDirectory, readZipEntry } from '../../src/formats/zip.ts';

const text = new TextEncoder().encode('one, two, three, four, five, six');
const stored = zipSync({ 'a/b.txt': text, __proto__2: Uint8Array.of(1) }, { level: 0 });
const deflated = zipSync({ 'a/b.txt': text }, { level: 9 });

/** The offset of the first entry of the directory. */
const directoryOf = (bytes: Uint8Array) => new DataView(bytes.buffer).getUint32(bytes.length - 6, true);
const changed = (bytes: Uint8Array, change: (view: DataView, directory: number) => void) => {
  const copy = new Uint8Array(bytes);
  change(new DataView(copy.buffer), directoryOf(bytes));
  return copy;
};
const read = (bytes: Uint8Array, name = 'a/b.txt') =>
  readZipEntry(bytes, readZipDirectory(bytes, 'm.zip').get(name)!, 'm.zip');

describe('reading a zip', () => {
  test('stored and deflated entries of a zip are read by name', () => {
    expect([...readZipDirectory(stored, 'm.zip').keys()]).toEqual(['a/b.txt', '__proto__2']);
    expect(read(stored)).toEqual(text);
    expect(read(deflated)).toEqual(text);
    expect(read(zipSync({ empty: new Uint8Array(0) }), 'empty')).toHaveLength(0);
  });

  test('a zip with a comment, or bytes before it in the buffer, is read', () => {
    const withComment = new Uint8Array(stored.length + 5);
    withComment.set(stored);
    new DataView(withComment.buffer).setUint16(stored.length - 2, 5, true);
    expect(read(withComment)).toEqual(text);
    const shifted = new Uint8Array(stored.length + 3);
    shifted.set(stored, 3);
    expect(read(shifted.subarray(3))).toEqual(text);
  });

  test('a zip with sizes of 64 bits is read', () => {
    // The entry's sizes and offset move into an extra field, and the directory's into the record before its end.
    const directory = directoryOf(stored);
    const [head, tail] = [stored.subarray(0, directory), stored.subarray(directory, directory + 46 + 7)];
    const extra = new DataView(new ArrayBuffer(28));
    extra.setUint16(0, 1, true);
    extra.setUint16(2, 24, true);
    extra.setUint32(4, text.length, true);
    extra.setUint32(12, text.length, true);
    const entry = new Uint8Array(tail);
    const entryView = new DataView(entry.buffer);
    for (const at of [20, 24, 42]) entryView.setUint32(at, 0xffffffff, true);
    entryView.setUint16(30, 28, true);
    const size = entry.length + 28;
    const end = new DataView(new ArrayBuffer(56 + 20 + 22));
    end.setUint32(0, 0x06064b50, true);
    end.setUint32(32, 1, true);
    end.setUint32(40, size, true);
    end.setUint32(48, directory, true);
    end.setUint32(56, 0x07064b50, true);
    end.setUint32(64, directory + size, true);
    end.setUint32(76, 0x06054b50, true);
    for (const at of [84, 86]) end.setUint16(at, 0xffff, true);
    for (const at of [88, 92]) end.setUint32(at, 0xffffffff, true);
    const bytes = [head, entry, new Uint8Array(extra.buffer), new Uint8Array(end.buffer)];
    expect(read(Uint8Array.from(bytes.flatMap((part) => [...part])))).toEqual(text);
  });

  test('an entry that is encrypted, packed in another way or of another size is refused', () => {
    const refused = (bytes: Uint8Array) => {
      expect(() => read(bytes)).toThrow(DataError);
      return expect(() => read(bytes));
    };
    refused(changed(stored, (view, at) => view.setUint16(at + 8, 1, true))).toThrow(/a\/b\.txt: is encrypted/);
    refused(changed(stored, (view, at) => view.setUint16(at + 10, 14, true))).toThrow(/is packed by method 14/);
    refused(changed(stored, (view, at) => view.setUint32(at + 24, 9, true))).toThrow(/32 of 9 bytes/);
    refused(changed(deflated, (view, at) => view.setUint32(at + 24, 9, true))).toThrow(/more of 9 bytes/);
    refused(changed(deflated, (view, at) => view.setUint32(at + 24, 99, true))).toThrow(/32 of 99 bytes/);
    refused(changed(deflated, (view) => view.setUint8(39, 0xff))).toThrow(/cannot be unpacked|bytes/);
    refused(changed(stored, (view) => view.setUint32(0, 0, true))).toThrow(/byte 0: its header is damaged/);
  });

  test('a directory that is cut, doubled or points outside the zip is refused', () => {
    const refused = (bytes: Uint8Array) => {
      expect(() => readZipDirectory(bytes, 'm.zip')).toThrow(DataError);
      return expect(() => readZipDirectory(bytes, 'm.zip'));
    };
    for (let end = 0; end < stored.length; end++) refused(stored.subarray(0, end)).toThrow(/^m\.zip: byte \d+: /);
    refused(changed(stored, (view, at) => view.setUint32(at + 42, 0x7fffffff, true))).toThrow(/directory is damaged/);
    refused(changed(stored, (view) => view.setUint16(stored.length - 12, 3, true))).toThrow(/directory is damaged/);
    const twice = zipSync({ a: text, b: text }, { level: 0 });
    refused(changed(twice, (view, at) => view.setUint8(at + 47 + 46, 0x61))).toThrow(/directory is damaged/);
  });
});
