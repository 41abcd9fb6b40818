import { describe, expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readSafetensors, requireFinite, type Tensor, writeSafetensors } from '../../src/formats/safetensors.ts';

/** A file made by hand: the length of the header, the header as given, the data. */
const file = (header: unknown, ...data: number[]) => {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  return Uint8Array.of(json.length & 255, json.length >> 8, 0, 0, 0, 0, 0, 0, ...json, ...data);
};
const read = (header: unknown, ...data: number[]) => readSafetensors(file(header, ...data), 'm.safetensors');
const u8 = (begin: number, end: number) => ({ dtype: 'U8', shape: [end - begin], data_offsets: [begin, end] });

const failure = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    const { message } = error as DataError;
    expect(message).toMatch(/^m\.safetensors: (key .+|byte \d+): .+; .+$/);
    return message;
  }
  throw new Error('the input was accepted');
};

describe('reading safetensors files', () => {
  test('every dtype is read from little-endian bytes', () => {
    const entry = (dtype: string, begin: number, end: number) => ({ dtype, shape: [1], data_offsets: [begin, end] });
    const header = {
      a: entry('F32', 0, 4),
      b: entry('F16', 4, 6),
      c: entry('BF16', 6, 8),
      d: entry('I32', 8, 12),
      e: entry('U8', 12, 13),
      f: entry('U32', 13, 17),
      g: entry('BOOL', 17, 18),
      h: entry('I64', 18, 26),
    };
    const i64 = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    const data = [0, 0, 0xc0, 0x3f, 0, 0x3c, 0x80, 0x3f, 0xff, 0xff, 0xff, 0xff, 200, 4, 3, 2, 0xf1, 1, ...i64];
    const { tensors, metadata } = read(header, ...data);
    expect([...tensors.values()].map((tensor) => tensor.data)).toEqual([
      Float32Array.of(1.5),
      Uint16Array.of(0x3c00),
      Uint16Array.of(0x3f80),
      Int32Array.of(-1),
      Uint8Array.of(200),
      Uint32Array.of(0xf1020304),
      Uint8Array.of(1),
      BigInt64Array.of(-2n),
    ]);
    expect(metadata).toEqual({});
  });

  test('scalars, empty tensors, metadata and a header padded with spaces are read', () => {
    const header = {
      __metadata__: { format: 'pt' },
      scalar: { dtype: 'U8', shape: [], data_offsets: [0, 1] },
      none: { dtype: 'F32', shape: [0, 3], data_offsets: [1, 1] },
    };
    const { tensors, metadata } = read(`${JSON.stringify(header)}     `, 5);
    expect(tensors.get('scalar')).toEqual({ dtype: 'U8', shape: [], data: Uint8Array.of(5) });
    expect(tensors.get('none')).toEqual({ dtype: 'F32', shape: [0, 3], data: new Float32Array(0) });
    expect(metadata).toEqual({ format: 'pt' });
  });

  test('doubles and integers of 8, 16 and 64 bits are read, and types that no array holds are listed', () => {
    const entry = (dtype: string, begin: number, end: number) => ({ dtype, shape: [1], data_offsets: [begin, end] });
    const header = {
      a: entry('F64', 0, 8),
      b: entry('I16', 8, 10),
      c: entry('U16', 10, 12),
      d: entry('I8', 12, 13),
      e: entry('F8_E4M3', 13, 14),
      f: entry('U64', 14, 22),
      g: entry('C64', 22, 30),
    };
    const data = [0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0xfe, 0xff, 0xfe, 0xff, 0xfe, 0x38, 1, 0, 0, 0, 0, 0, 0, 0x80];
    const { tensors, unread } = read(header, ...data, ...Array(8).fill(0));
    expect([...tensors].map(([key, tensor]) => [key, tensor.data])).toEqual([
      ['a', Float64Array.of(1.5)],
      ['b', Int16Array.of(-2)],
      ['c', Uint16Array.of(65534)],
      ['d', Int8Array.of(-2)],
      ['f', BigUint64Array.of(2n ** 63n + 1n)],
    ]);
    expect([...unread]).toEqual([
      ['e', { dtype: 'F8_E4M3', shape: [1] }],
      ['g', { dtype: 'C64', shape: [1] }],
    ]);
    expect(failure(() => read({ e: { ...entry('F8_E4M3', 0, 1), shape: [2] } }, 1))).toMatch(/needs 2 bytes/);
  });

  test('metadata of null are none, and other metadata than a map of strings are refused', () => {
    expect(read({ __metadata__: null, a: u8(0, 1) }, 5).metadata).toEqual({});
    for (const metadata of [3, [], 'x', { a: 1 }, { a: null }]) {
      expect(failure(() => read({ __metadata__: metadata }))).toMatch(/key __metadata__: not a map of strings/);
    }
  });

  test('tensors are returned in the order of their bytes, whatever the order of the header', () => {
    const { tensors } = read({ late: u8(2, 3), early: u8(0, 2) }, 1, 2, 3);
    expect([...tensors.keys()]).toEqual(['early', 'late']);
    expect(tensors.get('late')?.data).toEqual(Uint8Array.of(3));
  });

  test('reading copies the data, also from a Node buffer and from an unaligned offset', () => {
    const whole = Buffer.concat([Buffer.of(0), file({ a: u8(0, 1), b: u8(1, 2) }, 7, 8)]);
    const { tensors } = readSafetensors(whole.subarray(1), 'm.safetensors');
    whole.fill(0);
    expect(tensors.get('a')?.data).toEqual(Uint8Array.of(7));
    expect(tensors.get('b')?.data).toEqual(Uint8Array.of(8));
  });

  test('files that are too short for their header are refused', () => {
    expect(failure(() => readSafetensors(new Uint8Array(7).fill(1), 'm.safetensors'))).toMatch(
      /byte 0: 7 bytes are too few/,
    );
    const whole = file({ a: u8(0, 1) }, 7);
    expect(failure(() => readSafetensors(whole.subarray(0, 20), 'm.safetensors'))).toMatch(/file of 20/);
    const huge = new Uint8Array(16).fill(255);
    expect(failure(() => readSafetensors(huge, 'm.safetensors'))).toMatch(/byte 0: header of/);
  });

  test('every proper prefix of a file is refused', () => {
    const whole = file({ a: u8(0, 2), b: u8(2, 3) }, 7, 8, 9);
    for (let end = 0; end < whole.length; end++) {
      expect(() => readSafetensors(whole.subarray(0, end), 'm.safetensors')).toThrow(DataError);
    }
  });

  test('a header that is not a JSON object in UTF-8 is refused', () => {
    expect(failure(() => read('{"a":'))).toMatch(/byte 8: the header is not JSON/);
    expect(failure(() => read('[]'))).toMatch(/byte 8: the header is not an object/);
    const latin = file('{"?":1}');
    latin[10] = 0xe9;
    expect(failure(() => readSafetensors(latin, 'm.safetensors'))).toMatch(/not JSON/);
    expect(failure(() => read({ __metadata__: { epoch: 3 } }))).toMatch(/key __metadata__: not a map of strings/);
  });

  test('a header with a byte order mark, or of more lists than any model has, is refused', () => {
    expect(failure(() => read(`\ufeff${JSON.stringify({ a: u8(0, 1) })}`, 1))).toMatch(
      /byte 8: the header is not JSON/,
    );
    const json = new Uint8Array(2 ** 19 + 20).fill(0x5b);
    const bytes = new Uint8Array(8 + json.length);
    bytes.set([20, 0, 8]);
    bytes.set(json, 8);
    expect(failure(() => readSafetensors(bytes, 'm.safetensors'))).toMatch(/more lists than any model/);
  });

  test('a file of another format is named', () => {
    const refused = (text: string) => () => readSafetensors(new TextEncoder().encode(text), 'm.safetensors');
    expect(refused('<!DOCTYPE html><p>')).toThrow('m.safetensors: a web page, not a safetensors file; open the link');
    expect(refused('version https://git-lfs.github.com/spec/v1\n')).toThrow('m.safetensors: a Git LFS pointer');
    const name = 'm/data.pkl';
    const zip = `PK\u0003\u0004${'.'.repeat(22)}${String.fromCharCode(name.length)}\0..${name}`;
    expect(refused(zip)).toThrow('a PyTorch file, not a safetensors file; convert it with midas import');
    expect(refused('')).toThrow('m.safetensors: an empty file, not a safetensors file; fetch it again');
  });

  test('unknown dtypes, shapes and offsets are refused, naming the key', () => {
    const entry = { dtype: 'U8', shape: [2], data_offsets: [0, 2] };
    const refused = (change: object) => failure(() => read({ 'fc1.weight': { ...entry, ...change } }, 1, 2));
    expect(refused({ dtype: 'F128' })).toMatch(/key fc1\.weight: dtype F128 is not one of F64, F32/);
    expect(refused({ dtype: 'F64' })).toMatch(/F64 \[2\] needs 16 bytes/);
    expect(refused({ dtype: 'toString' })).toMatch(/dtype toString/);
    expect(refused({ shape: [-2] })).toMatch(/shape \[-2\]/);
    expect(refused({ shape: [0.5, 4] })).toMatch(/shape \[0\.5,4\]/);
    expect(refused({ shape: 'x' })).toMatch(/shape "x"/);
    expect(refused({ data_offsets: [0] })).toMatch(/data offsets \[0\]/);
    expect(refused({ data_offsets: [2, 0] })).toMatch(/data offsets \[2,0\]/);
    expect(refused({ data_offsets: [0, 3] })).toMatch(/not a range within the file's 2 data bytes/);
    expect(refused({ shape: [3] })).toMatch(/U8 \[3\] needs 3 bytes, its data offsets hold 2/);
    expect(refused({ dtype: 'F32' })).toMatch(/needs 8 bytes/);
    expect(refused({ shape: [2 ** 52, 2 ** 52] })).toMatch(/needs/);
    expect(failure(() => read({ 'fc1.weight': 3 }))).toMatch(/key fc1\.weight: dtype undefined/);
  });

  test('overlaps, holes and remaining bytes are refused', () => {
    expect(failure(() => read({ a: u8(0, 2), b: u8(1, 3) }, 1, 2, 3))).toMatch(/key b: .*overlaps/);
    expect(failure(() => read({ a: u8(0, 1), b: u8(2, 3) }, 1, 2, 3))).toMatch(/key b: .*gap/);
    expect(failure(() => read({ a: u8(0, 1) }, 1, 2))).toMatch(/1 bytes belong to no tensor/);
  });
});

describe('writing safetensors files', () => {
  const tensors = new Map<string, Tensor>([
    ['mask', { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) }],
    ['w', { dtype: 'F32', shape: [1, 2], data: Float32Array.of(-0, 3.25) }],
    ['half', { dtype: 'F16', shape: [1], data: Uint16Array.of(0x3c00) }],
    ['__proto__', { dtype: 'I64', shape: [1], data: BigInt64Array.of(-(2n ** 63n)) }],
    ['7', { dtype: 'U32', shape: [], data: Uint32Array.of(0xdeadbeef) }],
  ]);

  test('writing pads the header to eight bytes and aligns every tensor', () => {
    const bytes = writeSafetensors(tensors, { seed: '1' });
    const headerLength = bytes[0] + 256 * bytes[1];
    expect(headerLength % 8).toBe(0);
    const text = new TextDecoder().decode(bytes.subarray(8, 8 + headerLength));
    expect(text).toMatch(/^\{.*\} *$/);
    const header = JSON.parse(text);
    expect(header.__metadata__).toEqual({ seed: '1' });
    expect(header.w.data_offsets[0] % 4).toBe(0);
    expect(header.half.data_offsets[0] % 2).toBe(0);
    expect(bytes.length).toBe(8 + headerLength + 3 + 8 + 2 + 8 + 4);
  });

  test('tensors are read back unchanged, whatever their keys', () => {
    const back = readSafetensors(writeSafetensors(tensors, { seed: '1' }), 'm.safetensors');
    expect(back.metadata).toEqual({ seed: '1' });
    expect(new Map([...back.tensors].sort())).toEqual(new Map([...tensors].sort()));
  });

  test('writing keeps the bits of every kind of NaN', () => {
    const bits = Uint32Array.of(0x7fa00001, 0xffc12345, 0x7f800001, 0x80000000);
    const data = new Float32Array(bits.buffer);
    const bytes = writeSafetensors(new Map([['w', { dtype: 'F32', shape: [4], data }]]));
    const back = readSafetensors(bytes, 'm.safetensors').tensors.get('w')?.data as Float32Array;
    expect(new Uint32Array(back.buffer)).toEqual(bits);
  });

  test('writing takes only the part of the buffer that a tensor views', () => {
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    const back = readSafetensors(
      writeSafetensors(new Map([['w', { dtype: 'F32', shape: [2], data }]])),
      'm.safetensors',
    );
    expect(back.tensors.get('w')?.data).toEqual(Float32Array.of(2, 3));
  });

  test('writing refuses data of another type or count, and the reserved key', () => {
    const write = (key: string, tensor: Tensor) => () => writeSafetensors(new Map([[key, tensor]]));
    expect(write('w', { dtype: 'F32', shape: [3], data: new Float32Array(2) })).toThrow(/key w: a Float32Array of 2/);
    expect(write('w', { dtype: 'F32', shape: [2], data: new Uint32Array(2) })).toThrow(DataError);
    expect(write('__metadata__', { dtype: 'U8', shape: [0], data: new Uint8Array(0) })).toThrow(/reserved/);
  });
});

describe('requiring finite numbers', () => {
  test('the largest finite numbers and all integers are accepted', () => {
    const fine: Tensor[] = [
      { dtype: 'F32', shape: [2], data: Float32Array.of(3.4028234663852886e38, -0) },
      { dtype: 'F16', shape: [1], data: Uint16Array.of(0xfbff) },
      { dtype: 'BF16', shape: [1], data: Uint16Array.of(0x7f7f) },
      { dtype: 'U32', shape: [1], data: Uint32Array.of(0x7fc00000) },
      { dtype: 'I64', shape: [1], data: BigInt64Array.of(-1n) },
    ];
    for (const tensor of fine) expect(() => requireFinite(tensor, 'm', 'w')).not.toThrow();
  });

  test('the error names file, key and index of the first bad element', () => {
    const check = (tensor: Tensor) => () => requireFinite(tensor, 'm.safetensors', 'fc1.bias');
    const viewed = Float32Array.of(Number.NaN, 0, Number.NEGATIVE_INFINITY).subarray(1);
    expect(check({ dtype: 'F32', shape: [2], data: viewed })).toThrow(
      /^m\.safetensors: key fc1\.bias: element 1 is not finite \(0xff800000\)/,
    );
    expect(check({ dtype: 'F16', shape: [1], data: Uint16Array.of(0x7c01) })).toThrow(/element 0 .*0x7c01/);
    expect(check({ dtype: 'BF16', shape: [1], data: Uint16Array.of(0xff80) })).toThrow(DataError);
  });
});
