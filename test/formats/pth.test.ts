import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readPth } from '../../src/formats/pth.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { loadFixture } from '../support/fixtures.ts';
import {
  archive,
  ascii,
  type Bytes,
  bytesOf,
  call,
  dict,
  FALSE,
  global,
  good,
  int,
  NONE,
  orderedDict,
  pickled,
  six,
  storage,
  tensor,
  text,
  tuple,
} from '../support/pickles.ts';

const file = (name: string) => readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)));

/** The tensors of the file's only dictionary. */
const readOnly = (bytes: Uint8Array, name = 'm.pth') => {
  const { dictionaries } = readPth(bytes, name);
  expect(dictionaries).toHaveLength(1);
  return new Map([...dictionaries[0].tensors].map(([key, tensor]) => [key, tensor.read()]));
};

const failure = (bytes: Uint8Array) => {
  try {
    readOnly(bytes);
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
    const tensors = readOnly(file(`${model}.pth`), `${model}.pth`);
    const prefix = `${model}/after3/`;
    const expected = yang.keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    const weights = [...tensors].filter(([key]) => !key.endsWith('.num_batches_tracked'));
    expect(weights.map(([key]) => key).sort()).toEqual(expected.map((key) => `module.${key}`).sort());
    expect(weights).toHaveLength(count);
    for (const [key, { dtype, shape, data }] of weights) {
      const want = yang.tensor(prefix + key.slice('module.'.length));
      expect([key, dtype, shape]).toEqual([key, want.dtype, want.shape]);
      expect(new Uint8Array(data.buffer), key).toEqual(new Uint8Array(want.data.buffer));
    }
  });

  test('the files have the names and shapes of the published networks', () => {
    const classifier = readOnly(file('classifier.pth'), 'classifier.pth');
    expect([...classifier.keys()].slice(0, 8)).toEqual([
      'module.encoder.0.weight',
      'module.encoder.0.bias',
      'module.encoder.1.weight',
      'module.encoder.1.bias',
      'module.encoder.1.running_mean',
      'module.encoder.1.running_var',
      'module.encoder.1.num_batches_tracked',
      'module.encoder.4.weight',
    ]);
    expect(classifier.get('module.fc.0.weight')?.shape).toEqual([35, 512]);
    expect(classifier.get('module.fc.2.bias')?.shape).toEqual([7]);
    const inversion = readOnly(file('inversion.pth'), 'inversion.pth');
    expect(inversion.get('module.decoder.0.weight')?.shape).toEqual([7, 32, 4, 4]);
    expect(inversion.get('module.decoder.12.weight')?.shape).toEqual([4, 1, 4, 4]);
  });

  test('the tensors of a file survive conversion to safetensors', () => {
    const tensors = readOnly(file('inversion.pth'), 'inversion.pth');
    const back = readSafetensors(writeSafetensors(tensors), 'm.safetensors').tensors;
    expect(new Map([...back].sort())).toEqual(new Map([...tensors].sort()));
  });

  test('a file that is cut short anywhere is refused', () => {
    const whole = file('inversion.pth');
    for (let end = 0; end < whole.length; end += 997) expect(failure(whole.subarray(0, end))).toBeTruthy();
    expect(failure(whole.subarray(0, whole.length - 1))).toContain('truncated or damaged zip');
  });
});

describe('the contents of a checkpoint', () => {
  const pathsOf = (pickle: Bytes) => readPth(archive(pickle, { 0: six }), 'm.pth').dictionaries.map(({ path }) => path);

  test('every dictionary of tensors is found with its path, and the values beside the tensors are left out', () => {
    const nested = (key: string) =>
      dict({ epoch: int(3), [key]: dict({ w: good, note: text('x') }), optimizer: dict({}) });
    for (const key of ['model', 'state_dict', 'net', 'anything']) {
      const { dictionaries } = readPth(archive(nested(key), { 0: six }), 'm.pth');
      expect(dictionaries.map(({ path, tensors }) => [path, [...tensors.keys()]])).toEqual([[key, ['w']]]);
      const tensor = dictionaries[0].tensors.get('w')?.read();
      expect(tensor).toEqual({ dtype: 'F32', shape: [2, 3], data: Float32Array.of(0, 1, 2, 3, 4, 5) });
    }
    expect(pathsOf(dict({ w: good }))).toEqual(['']);
    expect(pathsOf(dict({ a: dict({ b: dict({ w: good }) }), c: dict({ w: good }) }))).toEqual(['c', 'a.b']);
  });

  test('a dictionary that is named under many keys is listed one time', () => {
    // BINPUT and BINGET: the same dictionary as the value of a and b.
    const pickle = [0x7d, 0x28, ...text('a'), ...dict({ w: good }), 0x71, 1, ...text('b'), 0x68, 1, 0x75];
    expect(pathsOf(pickle)).toEqual(['a']);
  });

  test('a dictionary that contains itself ends the search', () => {
    const pickle = [0x7d, 0x71, 1, ...text('self'), 0x68, 1, 0x73, ...text('w'), ...good, 0x73];
    expect(pathsOf(pickle)).toEqual(['']);
  });

  test('a checkpoint may be an OrderedDict with attributes and hold parameters', () => {
    const parameter = call(global('torch._utils', '_rebuild_parameter'), good, FALSE, orderedDict);
    // SETITEM, then BUILD with the dictionary of attributes, as a state dict has one.
    const pickle = [...orderedDict, ...text('w'), ...parameter, 0x73, ...dict({ _metadata: orderedDict }), 0x62];
    expect([...readOnly(archive(pickle, { 0: six })).keys()]).toEqual(['w']);
  });

  test('a state dict of Python 2 is an OrderedDict made of pairs', () => {
    const pair = [0x5d, 0x28, ...[0x55, 1, 0x77], ...good, 0x65];
    const pickle = call(global('collections', 'OrderedDict'), [0x5d, 0x28, ...pair, 0x65]);
    expect([...readOnly(archive(pickle, { 0: six })).keys()]).toEqual(['w']);
  });

  test('a state dict may be of a class derived from dict, and its tensors of a class derived from Tensor', () => {
    const args = tuple(storage('0', 6), int(0), tuple(int(6)), tuple(int(1)), FALSE, orderedDict);
    const rebuilt = global('torch._utils', '_rebuild_tensor_v2');
    const derived = call(
      global('torch._tensor', '_rebuild_from_type_v2'),
      rebuilt,
      global('my', 'Tensor'),
      args,
      dict({}),
    );
    const pickle = [
      ...global('easydict', 'EasyDict'),
      0x29,
      0x81,
      ...dict({ a: NONE }),
      0x62,
      ...text('w'),
      ...derived,
      0x73,
    ];
    expect(readOnly(archive(pickle, { 0: six })).get('w')?.shape).toEqual([6]);
  });

  test('objects beside the weights are skipped and named', () => {
    const scalar = call(
      global('numpy.core.multiarray', 'scalar'),
      call(global('numpy', 'dtype'), text('f8')),
      [0x43, 1, 0],
    );
    const args = [...global('argparse', 'Namespace'), 0x29, 0x81, ...dict({ lr: int(1) }), 0x62];
    const history = call(global('collections', 'defaultdict'), global('builtins', 'list'));
    const device = call(global('torch', 'device'), text('cuda'));
    const pickle = dict({
      state_dict: dict({ w: good }),
      best: scalar,
      args,
      history,
      device,
      type: global('torch', 'float32'),
    });
    const { dictionaries, objects } = readPth(archive(pickle, { 0: six }), 'm.pth');
    expect(dictionaries.map(({ path }) => path)).toEqual(['state_dict']);
    expect([...objects]).toEqual([
      ['best', 'numpy.core.multiarray.scalar'],
      ['args', 'argparse.Namespace'],
      ['device', 'torch.device'],
    ]);
  });

  test('a tensor of a type that is not read is refused only when it is read', () => {
    const complex = tensor(storage('1', 2, 'ComplexFloatStorage'), [2], [1]);
    const v3 = call(
      global('torch._utils', '_rebuild_tensor_v3'),
      ...[[...tuple(text('storage'), global('torch.storage', 'UntypedStorage'), text('2'), text('cpu'), int(4)), 0x51]],
      ...[int(0), tuple(int(2)), tuple(int(1)), FALSE, orderedDict, global('torch', 'uint16')],
    );
    const pickle = dict({ w: good, complex, v3 });
    const [{ tensors }] = readPth(
      archive(pickle, { 0: six, 1: new Uint8Array(16), 2: new Uint8Array(4) }),
      'm.pth',
    ).dictionaries;
    expect([...tensors.values()].map(({ dtype }) => dtype)).toEqual(['F32', 'complex64', 'torch.uint16']);
    expect(tensors.get('w')?.read().data).toHaveLength(6);
    expect(() => tensors.get('complex')?.read()).toThrow(
      /^m\.pth: key complex: tensors of type complex64 are not read/,
    );
    expect(() => tensors.get('v3')?.read()).toThrow(/^m\.pth: key v3: tensors of type torch\.uint16 are not read/);
  });

  test('a checkpoint may be deflated', () => {
    const bytes = zipSync({ 'm/data.pkl': pickled(dict({ w: good })), 'm/data/0': six });
    expect(readOnly(bytes, 'm.pth').get('w')?.data).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5));
  });

  test('a checkpoint may declare little-endian numbers, and is refused with another byte order', () => {
    const order = (name: string) =>
      archive(dict({ w: good }), { 0: six }, { 'm/byteorder': new TextEncoder().encode(name) });
    expect(readOnly(order('little'), 'm.pth').size).toBe(1);
    expect(failure(order('big'))).toContain('m/byteorder is "big"');
  });

  test('a checkpoint without tensors is refused, naming what it holds', () => {
    const refused = (pickle: Bytes) => failure(archive(pickle, { 0: six }));
    expect(refused(int(3))).toContain('holds a number, not a dictionary of tensors');
    expect(refused([0x5d, 0x28, ...good, ...good, 0x65])).toContain('holds a list of 2 values');
    expect(refused(good)).toContain('holds a single tensor');
    expect(refused([...global('models', 'Net'), 0x29, 0x81])).toContain(
      'holds an object of models.Net, of which nothing was run',
    );
    expect(refused(dict({}))).toContain('no tensors in its dictionaries (its keys: none)');
    expect(refused(dict({ epoch: int(3), model: dict({ w: NONE }) }))).toContain('(its keys: epoch, model)');
    expect(refused(dict({ net: [...global('models', 'Net'), 0x29, 0x81] }))).toContain(
      'key net is an object of models.Net',
    );
    const list = zipSync({ 'm/other': Uint8Array.of(1) }, { level: 0 });
    expect(failure(list)).toContain('no data.pkl in this zip (it holds m/other)');
  });
});

describe('a view of a storage', () => {
  const read = (pickle: Bytes, content = six) =>
    [...(readOnly(archive(dict({ w: pickle }), { 0: content }), 'm.pth').get('w')?.data ?? [])].map(Number);

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
    const bits = readOnly(archive(dict({ w: tensor(storage('0', 4), [2, 2], [1, 2]) }), { 0: bytesOf(nan) }), 'm.pth');
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
    const tensors = readOnly(archive(pickle, { 0: six }), 'm.pth');
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
    expect(refused(tensor(storage('0', 6), [-2], [1]))).toContain(
      'its shape is a list of 1 values, not a list of at most 64 sizes',
    );
    expect(refused(tensor(storage('0', 6), [2], [-1], 3))).toContain('is missing or not a whole number >= 0');
    expect(refused(tensor(NONE, [2], [1]))).toContain('is missing or not a whole number >= 0');
    expect(refused(call(global('torch._utils', '_rebuild_tensor_v2')))).toContain('its shape is missing, not a list');
    expect(refused(tensor(storage('0', 6), Array(65).fill(1), Array(65).fill(1)))).toContain('a list of 65 values');
  });

  test('a view is refused when its storage is missing or has another size', () => {
    expect(failure(archive(dict({ w: good })))).toContain('key w: its storage m/data/0 has no bytes, 6 of F32 need 24');
    expect(failure(archive(dict({ w: good }), { 0: six.subarray(4) }))).toContain('has 20 bytes, 6 of F32 need 24');
    const two = dict({ a: good, b: tensor(storage('0', 6, 'HalfStorage'), [2], [1]) });
    expect(failure(archive(two, { 0: six }))).toContain('key b: its storage');
  });
});

describe('attacks by a malicious checkpoint', () => {
  test('a call of anything but tensors is not carried out, whatever opcode asks for it', () => {
    const names: [string, string][] = [
      ['os', 'system'],
      ['builtins', 'eval'],
      ['torch', 'load'],
      ['__main__', 'Classifier'],
      ['torch', 'constructor'],
      ['__proto__', 'constructor'],
    ];
    for (const [module, name] of names) {
      for (const value of [
        call(global(module, name), text('x')),
        [0x28, ...text('x'), 0x69, ...ascii(`${module}\n${name}\n`)],
      ]) {
        const { dictionaries, objects } = readPth(archive(dict({ w: good, hostile: value }), { 0: six }), 'm.pth');
        expect(dictionaries.map(({ tensors }) => [...tensors.keys()])).toEqual([['w']]);
        expect([...objects]).toEqual([['hostile', `${module}.${name}`]]);
      }
    }
    // STACK_GLOBAL; the name would break the line of the message.
    const controls = [...text('os\n\u001b[2J'), ...text('x'), 0x93, 0x29, 0x81];
    expect(failure(archive(controls))).toContain('holds an object of os\\u{a}\\u{1b}[2J.x, of which nothing was run');
  });

  test('BUILD sets nothing on lists, dictionaries and tensors', () => {
    const state = dict({ length: int(9), __proto__: dict({ polluted: int(1) }), storage: int(1), shape: int(7) });
    const { dictionaries } = readPth(
      archive([...dict({ w: [...good, ...state, 0x62] }), ...state, 0x62], { 0: six }),
      'm.pth',
    );
    expect(dictionaries[0].tensors.get('w')?.read().shape).toEqual([2, 3]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    const list = [0x5d, 0x28, ...int(6), 0x65, ...state, 0x62];
    const pickle = call(
      global('torch._utils', '_rebuild_tensor_v2'),
      storage('0', 6),
      int(0),
      list,
      tuple(int(1)),
      FALSE,
      orderedDict,
    );
    expect(readOnly(archive(dict({ w: pickle }), { 0: six })).get('w')?.shape).toEqual([6]);
  });

  test('keys of any name are keys of a map', () => {
    const keys = ['__proto__', 'constructor', 'toString', '../../x', '__metadata__'];
    const [{ tensors }] = readPth(
      archive(dict(Object.fromEntries(keys.map((key) => [key, good]))), { 0: six }),
      'm.pth',
    ).dictionaries;
    expect([...tensors.keys()]).toEqual(keys);
  });

  test('a pickle that takes what is not there, or is cut short, is refused with the byte', () => {
    const bad: [string, Bytes][] = [
      ['is cut short', [0x42, 0xfb, 0xff, 0xff, 0xff]],
      ['is cut short', [0x58, 0xff, 0xff, 0xff, 0xff]],
      ['is cut short', [0x8d, 0, 0, 0, 0, 0, 0, 0, 0x80]],
      ['is cut short', [0x8b, 0xff, 0xff, 0xff, 0xff]],
      ['a name without an end', [0x63, 0x6f, 0x73]],
      ['takes a value that is not there', [0x30]],
      ['takes values of a list that is not there', [0x74]],
      ['repeats a value that it does not have (9)', [0x68, 9]],
      ['appends to something that is not a list', [0x4e, 0x4e, 0x61]],
      ['sets items of something else than a dictionary', [0x4e, 0x4e, 0x4e, 0x73]],
      ['calls something that is no function', [0x4e, 0x29, 0x52]],
      ['calls something that is no function', [...global('a', 'b'), 0x4e, 0x52]],
      ['fills a dictionary from something else than pairs', call(global('collections', 'OrderedDict'), int(1))],
      ['a name that is no text', [0x29, 0x29, 0x93]],
      ['has an opcode that torch.save does not write (0x82)', [0x82, 1]],
      ['is of a newer protocol', [0x80, 6]],
      ['a persistent id is not a storage', [...tuple(text('storage'), int(1)), 0x51]],
      ['a persistent id is not a storage', [...text('storage'), 0x51]],
    ];
    for (const [message, pickle] of bad) {
      expect(failure(archive(pickle))).toMatch(/^m\.pth: m\/data\.pkl: byte \d+: /);
      expect(failure(archive(pickle))).toContain(message);
    }
  });

  test('more values, texts, containers or copies than any checkpoint has are refused', () => {
    const nones = new Uint8Array(2 ** 21 + 10).fill(0x4e);
    const lists = new Uint8Array(2 ** 18 + 10).fill(0x5d);
    // Empty ones, of a length of one byte.
    const texts = Uint8Array.from({ length: 2 ** 18 + 10 }, (_, i) => (i % 2 === 0 ? 0x8c : 0));
    const packed = (pickle: Uint8Array) => zipSync({ 'm/data.pkl': pickle }, { level: 0 });
    expect(failure(packed(nones))).toContain('has more than 2097152 values');
    expect(failure(packed(texts))).toContain('has more than 131072 texts');
    expect(failure(packed(lists))).toContain('has more than 262144 lists and dictionaries');
    // One tensor under 100,001 keys.
    const keys = [0x7d, ...good, 0x71, 1, 0x30];
    for (let i = 0; i <= 100_000; i++)
      keys.push(0x8c, 3, (i & 127) + 1, ((i >> 7) & 127) + 1, (i >> 14) + 1, 0x68, 1, 0x73);
    expect(failure(archive(keys, { 0: six }))).toContain('has more than 100000 tensors');
    // One list of 2,000 pairs, made into a dictionary 2,000 times.
    const pairs = [0x5d, 0x28, ...Array.from({ length: 2000 }, () => [0x4e, 0x4e, 0x86]).flat(), 0x65, 0x85, 0x71, 1];
    const copy = [...global('collections', 'OrderedDict'), 0x68, 1, 0x52];
    expect(failure(archive([...pairs, ...Array.from({ length: 2000 }, () => copy).flat()]))).toContain(
      'copies the same dictionary',
    );
  });

  test('tuples that double at every step are skipped without being followed', () => {
    const doubled = [0x29, ...Array.from({ length: 60 }, () => [0x32, 0x86]).flat()];
    const pickle = [0x7d, ...doubled, 0x4e, 0x73, ...text('w'), ...good, 0x73];
    expect([...readOnly(archive(pickle, { 0: six })).keys()]).toEqual(['w']);
  });

  test('a checkpoint that unpacks to a thousand times its size is refused', () => {
    const zeros = new Uint8Array(2 ** 23);
    const pickle = pickled(dict({ w: tensor(storage('0', 2 ** 21), [2 ** 21], [1]) }));
    const bomb = zipSync({ 'm/data.pkl': pickle, 'm/data/0': zeros }, { level: 9 });
    expect(bomb.length).toBeLessThan(20_000);
    expect(failure(bomb)).toMatch(/key w: reading it would need \d+ bytes, .*made to fill the memory/);
  });

  test('a checkpoint that lies about sizes in its directory is refused', () => {
    const stored = archive(dict({ w: good }), { 0: six });
    const view = new DataView(stored.buffer);
    const directory = view.getUint32(stored.length - 6, true);
    for (const [field, message] of [
      [20, "the zip's directory is damaged"],
      [24, 'm/data.pkl has more than 67108864 bytes'],
    ] as const) {
      const lying = stored.slice();
      new DataView(lying.buffer).setUint32(directory + field, 0x7fffffff, true);
      expect(failure(lying)).toContain(message);
    }
    const short = stored.slice();
    new DataView(short.buffer).setUint32(directory + 24, 300, true);
    expect(failure(short)).toMatch(/m\/data\.pkl: \d+ of 300 bytes; the file is damaged/);
    const twice = stored.slice();
    new DataView(twice.buffer).setUint32(stored.length - 6, 0, true);
    expect(failure(twice)).toBeTruthy();
    // A deflated entry whose content is shorter than it says.
    const deflated = zipSync({ 'm/data.pkl': pickled(dict({ w: good })), 'm/data/0': six });
    const at = new DataView(deflated.buffer).getUint32(deflated.length - 6, true);
    new DataView(deflated.buffer).setUint32(at + 24, 4000, true);
    expect(failure(deflated)).toMatch(/\d+ of 4000 bytes/);
  });

  test('a checkpoint that grows by strides of zero is refused', () => {
    const huge = tensor(storage('0', 6), [2 ** 15, 2 ** 15], [0, 0]);
    expect(failure(archive(dict({ w: huge }), { 0: six }))).toMatch(/reading it would need 4294967296 bytes/);
    const overflow = tensor(storage('0', 6), [2 ** 30, 2 ** 30, 2 ** 30], [0, 0, 0]);
    expect(failure(archive(dict({ w: overflow }), { 0: six }))).toContain('does not lie');
  });
});
