import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Zippable, zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readPth, requireTensor } from '../../src/formats/pth.ts';
import { readSafetensors, type Tensor, writeSafetensors } from '../../src/formats/safetensors.ts';
import { loadFixture } from '../support/fixtures.ts';

const file = (name: string) => readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)));

// A pickle written by hand (protocol 2, https://docs.python.org/3/library/pickletools.html): every value is given by the
// bytes that push it onto the stack.
type Bytes = readonly number[];
const ascii = (text: string): Bytes => [...new TextEncoder().encode(text)];
const text = (value: string): Bytes => [0x58, value.length & 255, value.length >> 8, 0, 0, ...ascii(value)];
const int = (value: number): Bytes => [0x4a, value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];
const tuple = (...items: Bytes[]): Bytes => [0x28, ...items.flat(), 0x74];
const global = (module: string, name: string): Bytes => ascii(`c${module}\n${name}\n`);
const call = (func: Bytes, ...args: Bytes[]): Bytes => [...func, ...tuple(...args), 0x52];
const dict = (entries: Record<string, Bytes>): Bytes => [
  0x7d,
  0x28,
  ...Object.entries(entries).flatMap(([key, value]) => [...text(key), ...value]),
  0x75,
];
const NONE: Bytes = [0x4e];
const FALSE: Bytes = [0x89];
const orderedDict = call(global('collections', 'OrderedDict'));

const storage = (key: string, count: number, type = 'FloatStorage'): Bytes => [
  ...tuple(text('storage'), global('torch', type), text(key), text('cpu'), int(count)),
  0x51,
];
const tensor = (source: Bytes, shape: number[], stride: number[], offset = 0): Bytes =>
  call(
    global('torch._utils', '_rebuild_tensor_v2'),
    source,
    int(offset),
    tuple(...shape.map(int)),
    tuple(...stride.map(int)),
    FALSE,
    orderedDict,
  );

const bytesOf = (words: Float32Array | Uint32Array | BigInt64Array | Uint16Array) => new Uint8Array(words.buffer);
/** A zip as torch.save makes it: nothing is compressed. */
const archive = (pickle: Bytes, storages: Record<string, Uint8Array> = {}, more: Zippable = {}) => {
  const files: Zippable = { 'm/data.pkl': Uint8Array.of(0x80, 2, ...pickle, 0x2e), 'm/version': Uint8Array.of(51, 10) };
  for (const [key, content] of Object.entries(storages)) files[`m/data/${key}`] = content;
  return zipSync({ ...files, ...more }, { level: 0 });
};
const six = bytesOf(Float32Array.of(0, 1, 2, 3, 4, 5));
const good = tensor(storage('0', 6), [2, 3], [3, 1]);

const failure = (bytes: Uint8Array) => {
  try {
    readPth(bytes, 'm.pth');
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    const { message } = error as DataError;
    expect(message).toMatch(/^m\.pth: [^\n]+[;,] [^\n]+$/);
    return message;
  }
  throw new Error('the input was accepted');
};

describe('files of PyTorch', () => {
  const yang = loadFixture('yang');

  // Both were saved after the three training steps of yang.safetensors, as {epoch, model, best_cl_acc} and DataParallel.
  test.each([
    ['classifier', 28],
    ['inversion', 26],
  ])('the %s file has the bits that the fixture has after three steps', (model, count) => {
    const tensors = readPth(file(`${model}.pth`), `${model}.pth`);
    const prefix = `${model}/after3/`;
    const expected = yang.keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    expect([...tensors.keys()].sort()).toEqual(expected.sort());
    expect(tensors.size).toBe(count);
    for (const [key, { dtype, shape, data }] of tensors) {
      const want = yang.tensor(prefix + key);
      expect([key, dtype, shape]).toEqual([key, want.dtype, want.shape]);
      expect(new Uint8Array(data.buffer), key).toEqual(new Uint8Array(want.data.buffer));
    }
  });

  test('the files have the names and shapes of the published networks', () => {
    const classifier = readPth(file('classifier.pth'), 'classifier.pth');
    expect([...classifier.keys()].slice(0, 7)).toEqual([
      'encoder.0.weight',
      'encoder.0.bias',
      'encoder.1.weight',
      'encoder.1.bias',
      'encoder.1.running_mean',
      'encoder.1.running_var',
      'encoder.4.weight',
    ]);
    expect(classifier.get('fc.0.weight')?.shape).toEqual([35, 512]);
    expect(classifier.get('fc.2.bias')?.shape).toEqual([7]);
    const inversion = readPth(file('inversion.pth'), 'inversion.pth');
    expect(inversion.get('decoder.0.weight')?.shape).toEqual([7, 32, 4, 4]);
    expect(inversion.get('decoder.12.weight')?.shape).toEqual([4, 1, 4, 4]);
  });

  test('the tensors of a file survive conversion to safetensors', () => {
    const tensors = readPth(file('inversion.pth'), 'inversion.pth');
    const back = readSafetensors(writeSafetensors(tensors), 'm.safetensors').tensors;
    expect(new Map([...back].sort())).toEqual(new Map([...tensors].sort()));
  });

  test('a file that is cut short anywhere is refused', () => {
    const whole = file('inversion.pth');
    for (let end = 0; end < whole.length; end += 997) expect(failure(whole.subarray(0, end))).toBeTruthy();
    expect(failure(whole.subarray(0, whole.length - 1))).toContain('truncated or damaged zip');
    expect(failure(whole.subarray(0, 0))).toContain('byte 0: the file is empty');
  });
});

describe('the contents of a checkpoint', () => {
  test('a checkpoint is the state dict itself, or holds it under model or state_dict', () => {
    const nested = (key: string) => dict({ epoch: int(3), [key]: dict({ w: good }), optimizer: dict({}) });
    for (const pickle of [dict({ w: good }), nested('model'), nested('state_dict'), nested('model_state_dict')]) {
      const tensors = readPth(archive(pickle, { 0: six }), 'm.pth');
      expect([...tensors]).toEqual([['w', { dtype: 'F32', shape: [2, 3], data: Float32Array.of(0, 1, 2, 3, 4, 5) }]]);
    }
  });

  test('a checkpoint may be an OrderedDict with attributes and hold parameters', () => {
    const parameter = call(global('torch._utils', '_rebuild_parameter'), good, FALSE, orderedDict);
    // SETITEM, then BUILD with the dictionary of attributes, as a state dict has one.
    const pickle = [...orderedDict, ...text('w'), ...parameter, 0x73, ...dict({ _metadata: orderedDict }), 0x62];
    expect([...readPth(archive(pickle, { 0: six }), 'm.pth').keys()]).toEqual(['w']);
  });

  test('a checkpoint loses the prefix of DataParallel and the counters of batch norm', () => {
    const counter = tensor(storage('1', 1, 'LongStorage'), [], []);
    const pickle = dict({ 'module.bn.weight': good, 'module.bn.num_batches_tracked': counter });
    const storages = { 0: six, 1: bytesOf(BigInt64Array.of(7n)) };
    expect([...readPth(archive(pickle, storages), 'm.pth').keys()]).toEqual(['bn.weight']);
    // Here `module` is the name of a layer, not the prefix of DataParallel.
    const honest = dict({ 'module.w': good, head: good });
    expect([...readPth(archive(honest, { 0: six }), 'm.pth').keys()]).toEqual(['module.w', 'head']);
  });

  test('a checkpoint may be deflated', () => {
    const bytes = zipSync({ 'm/data.pkl': Uint8Array.of(0x80, 2, ...dict({ w: good }), 0x2e), 'm/data/0': six });
    expect(readPth(bytes, 'm.pth').get('w')?.data).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5));
  });

  test('a checkpoint may declare little-endian numbers, and is refused with another byte order', () => {
    const order = (name: string) =>
      archive(dict({ w: good }), { 0: six }, { 'm/byteorder': new TextEncoder().encode(name) });
    expect(readPth(order('little'), 'm.pth').size).toBe(1);
    expect(failure(order('big'))).toContain('m/byteorder is "big"');
  });

  test('a checkpoint without tensors is refused, naming what it holds', () => {
    expect(failure(archive(int(3)))).toContain('holds no dictionary');
    expect(failure(archive(dict({})))).toContain('no tensors');
    expect(failure(archive(dict({ epoch: int(3) })))).toContain('key epoch is not a tensor');
    expect(failure(archive(dict({ model: dict({ w: NONE }) })))).toContain('key model.w is not a tensor');
    expect(failure(zipSync({ 'm/other': Uint8Array.of(1) }, { level: 0 }))).toContain('no data.pkl in this zip');
  });
});

describe('a view of a storage', () => {
  const read = (pickle: Bytes, content = six) =>
    [...(readPth(archive(dict({ w: pickle }), { 0: content }), 'm.pth').get('w')?.data ?? [])].map(Number);

  test('a view is gathered by stride and offset', () => {
    expect(read(tensor(storage('0', 6), [3, 2], [1, 3]))).toEqual([0, 3, 1, 4, 2, 5]);
    expect(read(tensor(storage('0', 6), [2, 2], [3, 1], 1))).toEqual([1, 2, 4, 5]);
    expect(read(tensor(storage('0', 6), [3], [1], 3))).toEqual([3, 4, 5]);
    expect(read(tensor(storage('0', 6), [2, 3], [0, 1]))).toEqual([0, 1, 2, 0, 1, 2]);
    expect(read(tensor(storage('0', 6), [1, 2, 1, 3], [99, 3, 7, 1]))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(read(tensor(storage('0', 6), [], [], 4))).toEqual([4]);
    expect(read(tensor(storage('0', 6), [0, 3], [3, 1], 6))).toEqual([]);
  });

  test('a view has words of one, two, four or eight bytes, whose bits do not change', () => {
    const nan = Uint32Array.of(0x7fa00001, 0xffc12345, 0x80000000, 0x7f800000);
    const bits = readPth(archive(dict({ w: tensor(storage('0', 4), [2, 2], [1, 2]) }), { 0: bytesOf(nan) }), 'm.pth');
    expect(new Uint32Array(bits.get('w')?.data.buffer as ArrayBuffer)).toEqual(
      Uint32Array.of(0x7fa00001, 0x80000000, 0xffc12345, 0x7f800000),
    );
    const transposed = (type: string) => tensor(storage('0', 4, type), [2, 2], [1, 2]);
    expect(read(transposed('LongStorage'), bytesOf(BigInt64Array.of(-1n, 2n, 2n ** 40n, 4n)))).toEqual([
      -1,
      2 ** 40,
      2,
      4,
    ]);
    expect(read(transposed('HalfStorage'), bytesOf(Uint16Array.of(1, 2, 3, 65535)))).toEqual([1, 3, 2, 65535]);
    expect(read(transposed('BFloat16Storage'), bytesOf(Uint16Array.of(1, 2, 3, 4)))).toEqual([1, 3, 2, 4]);
    expect(read(transposed('IntStorage'), bytesOf(Uint32Array.of(1, 2, 0xffffffff, 4)))).toEqual([1, -1, 2, 4]);
    expect(read(transposed('ByteStorage'), Uint8Array.of(1, 2, 3, 4))).toEqual([1, 3, 2, 4]);
    expect(read(transposed('BoolStorage'), Uint8Array.of(1, 0, 0, 1))).toEqual([1, 0, 0, 1]);
  });

  test('a view may share its storage with others', () => {
    const pickle = dict({ a: good, b: tensor(storage('0', 6), [3], [1], 3) });
    const tensors = readPth(archive(pickle, { 0: six }), 'm.pth');
    (tensors.get('a')?.data as Float32Array)[3] = 9;
    expect(tensors.get('b')?.data).toEqual(Float32Array.of(3, 4, 5));
  });

  test('a view outside its storage is refused, naming the key', () => {
    const refused = (pickle: Bytes) => failure(archive(dict({ 'fc.weight': pickle }), { 0: six }));
    expect(refused(tensor(storage('0', 6), [2, 3], [3, 1], 1))).toMatch(
      /key fc\.weight: shape \[2,3\] with stride \[3,1\] from element 1 does not lie in its storage 0 of 6/,
    );
    expect(refused(tensor(storage('0', 6), [7], [1]))).toContain('does not lie in its storage');
    expect(refused(tensor(storage('0', 6), [2, 2], [2 ** 30, 1]))).toContain('does not lie in its storage');
    expect(refused(tensor(storage('0', 6), [2, 3], [3]))).toContain('does not lie in its storage');
    expect(refused(tensor(storage('0', 6), [-2], [1]))).toContain('is missing or not a whole number >= 0');
    expect(refused(tensor(storage('0', 6), [2], [-1], 3))).toContain('is missing or not a whole number >= 0');
    expect(refused(tensor(NONE, [2], [1]))).toContain('is missing or not a whole number >= 0');
    expect(refused(call(global('torch._utils', '_rebuild_tensor_v2')))).toContain(
      'is missing or not a whole number >= 0',
    );
  });

  test('a view is refused when its storage is missing or has another size', () => {
    expect(failure(archive(dict({ w: good })))).toContain('key w: its storage m/data/0 has no bytes, 6 of F32 need 24');
    expect(failure(archive(dict({ w: good }), { 0: six.subarray(4) }))).toContain('has 20 bytes, 6 of F32 need 24');
    const two = dict({ a: good, b: tensor(storage('0', 12, 'HalfStorage'), [2], [1]) });
    expect(failure(archive(two, { 0: six }))).toContain('key b: its storage');
  });
});

describe('attacks by a malicious checkpoint', () => {
  test('a name of anything but tensors is refused with that name and not run', () => {
    for (const module of ['os', 'posix', 'nt']) {
      const attack = dict({ w: call(global(module, 'system'), text('touch /tmp/owned')) });
      expect(failure(archive(attack))).toContain(`m/data.pkl: names ${module}.system, which no dictionary of tensors`);
    }
    const names: [string, string][] = [
      ['builtins', 'eval'],
      ['torch', 'load'],
      ['torch._utils', '_rebuild_tensor_v3'],
      ['numpy.core.multiarray', 'scalar'],
      ['__main__', 'Classifier'],
      ['torch', 'constructor'],
      ['torch', '__proto__'],
    ];
    for (const [module, name] of names) {
      expect(failure(archive(dict({ w: global(module, name) })))).toContain(`names ${module}.${name}`);
    }
    // STACK_GLOBAL and INST are the other ways to name a global; the last name would break the line of the message.
    expect(failure(archive([...text('os'), ...text('system'), 0x93]))).toContain('names os.system');
    expect(failure(archive([0x28, 0x69, ...ascii('os\nsystem\n')]))).toContain('names os.system');
    expect(failure(archive([...text('os\n\u001b[2J'), ...text('x'), 0x93]))).toContain('names os?[2J.x');
  });

  test('a checkpoint with numbers of 64 bits, which cannot be kept, is refused', () => {
    expect(failure(archive(dict({ w: tensor(storage('0', 3, 'DoubleStorage'), [3], [1]) })))).toContain('float64');
  });

  test('a permitted name that is called or built in another way is refused', () => {
    const bad: Bytes[] = [
      call(global('torch', 'FloatStorage'), int(3)),
      [...good, ...dict({ storage: int(1) }), 0x62],
      [...global('collections', 'OrderedDict'), ...dict({ name: int(1) }), 0x62],
      [...tuple(text('module'), int(1)), 0x51],
      [...text('storage'), 0x51],
      [0xff],
    ];
    for (const value of bad) expect(failure(archive(dict({ w: value }), { 0: six }))).toMatch(/m\/data\.pkl: /);
    // BINGET of a value that was never put into the memo.
    expect(failure(archive(dict({ w: [0x68, 9] })))).toContain('key w is not a tensor');
    const cut = zipSync({ 'm/data.pkl': Uint8Array.of(0x80, 2, ...text('w').slice(0, 4)) }, { level: 0 });
    expect(failure(cut)).toContain('not a pickle of torch.save');
  });

  test('a checkpoint that unpacks to a thousand times its size is refused', () => {
    const zeros = new Uint8Array(2 ** 23);
    const pickle = Uint8Array.of(0x80, 2, ...dict({ w: tensor(storage('0', 2 ** 21), [2 ** 21], [1]) }), 0x2e);
    const bomb = zipSync({ 'm/data.pkl': pickle, 'm/data/0': zeros }, { level: 9 });
    expect(bomb.length).toBeLessThan(20_000);
    expect(failure(bomb)).toMatch(/m\/data\/0: \d+ bytes would unpack to 8388608 .*made to fill the memory/);
  });

  test('a checkpoint that lies about sizes in its directory is refused', () => {
    const stored = archive(dict({ w: good }), { 0: six });
    const view = new DataView(stored.buffer);
    const directory = view.getUint32(stored.length - 6, true);
    for (const field of [20, 24]) {
      const lying = stored.slice();
      new DataView(lying.buffer).setUint32(directory + field, 0x7fffffff, true);
      expect(failure(lying)).toContain('would unpack to');
    }
    const twice = stored.slice();
    new DataView(twice.buffer).setUint32(stored.length - 6, 0, true);
    expect(failure(twice)).toBeTruthy();
    // A deflated entry whose content is shorter than it says.
    const deflated = zipSync({ 'm/data.pkl': Uint8Array.of(0x80, 2, ...dict({ w: good }), 0x2e), 'm/data/0': six });
    const at = new DataView(deflated.buffer).getUint32(deflated.length - 6, true);
    new DataView(deflated.buffer).setUint32(at + 24, 4000, true);
    expect(failure(deflated)).toMatch(/\d+ of 4000 bytes|not a pickle/);
  });

  test('a checkpoint that grows by strides of zero is refused', () => {
    const huge = tensor(storage('0', 6), [2 ** 15, 2 ** 15], [0, 0]);
    expect(failure(archive(dict({ w: huge }), { 0: six }))).toMatch(/its tensors would need 4294967296 bytes/);
    const overflow = tensor(storage('0', 6), [2 ** 30, 2 ** 30, 2 ** 30], [0, 0, 0]);
    expect(failure(archive(dict({ w: overflow }), { 0: six }))).toContain('does not lie');
  });
});

describe('telling other formats apart', () => {
  test('a legacy file, a tar file and an unknown file are refused with different messages', () => {
    expect(failure(Uint8Array.of(0x80, 2, 0x8a, 10, 0x6c, 0xfc))).toMatch(/byte 0: a bare pickle.*safetensors/);
    const tar = new Uint8Array(1024);
    tar.set(ascii('ustar  '), 257);
    expect(failure(tar)).toMatch(/byte 257: a tar file.*save it again/);
    expect(failure(Uint8Array.from(ascii('<!DOCTYPE html>')))).toContain('starts with 3c 21 44 4f');
  });
});

describe('a tensor that a model needs', () => {
  const tensors = new Map<string, Tensor>([
    ['fc.0.weight', { dtype: 'F32', shape: [2, 3], data: new Float32Array(6) }],
    ['fc.0.bias', { dtype: 'F32', shape: [2], data: new Float32Array(2) }],
    ['step', { dtype: 'I64', shape: [], data: new BigInt64Array(1) }],
  ]);

  test('a needed tensor is returned when it fits', () => {
    expect(requireTensor(tensors, 'fc.0.weight', [2, 3], 'm.pth')).toBe(tensors.get('fc.0.weight'));
    expect(requireTensor(tensors, 'step', [], 'm.pth', 'I64').shape).toEqual([]);
  });

  test('the error about a missing tensor names it and the tensors of the file', () => {
    expect(() => requireTensor(tensors, 'fc1.weight', [2, 3], 'm.pth')).toThrow(
      'm.pth: key fc1.weight [2,3] is missing, of that shape it has fc.0.weight; ',
    );
    expect(() => requireTensor(tensors, 'fc1.weight', [9, 3], 'm.pth')).toThrow(
      'it has fc.0.weight, fc.0.bias, step; ',
    );
    expect(() => requireTensor(new Map(), 'w', [1], 'm.pth')).toThrow('it has nothing');
    expect(() => requireTensor(tensors, 'w', [1], 'm.pth')).toThrow(DataError);
  });

  test('the error about a differing tensor names both shapes and dtypes', () => {
    expect(() => requireTensor(tensors, 'fc.0.bias', [3], 'm.pth')).toThrow(
      'm.pth: key fc.0.bias is F32 [2], the model needs F32 [3]; ',
    );
    expect(() => requireTensor(tensors, 'step', [], 'm.pth')).toThrow('is I64 [], the model needs F32 []');
  });
});
