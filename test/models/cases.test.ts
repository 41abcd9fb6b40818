/** Checkpoints as they occur in the wild: test/fixtures/cases, whose NOTE.txt files say what is right. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readTensorFile } from '../../src/formats/tensor_file.ts';
import { importNetwork } from '../../src/models/recognise.ts';
import { modelName } from '../../src/models/specs.ts';

const CASES = fileURLToPath(new URL('../fixtures/cases/', import.meta.url));
const bytesOf = (path: string) => readFileSync(CASES + path);
const nameOf = (path: string) => path.split('/').at(-1)!;
const CLASSIFIER = 'yang-classifier 32x32, ndf 1, nz 4';

const recognised: [string, string][] = [
  ['11-legacy/classifier.pth.tar', CLASSIFIER],
  ['11-legacy/vgg.tar', CLASSIFIER],
  ['13-beside/float64-loss.pth', CLASSIFIER],
  ['13-beside/int8-int16.pth', CLASSIFIER],
  ['13-beside/namespace.pth', CLASSIFIER],
  ['13-beside/numpy-array.pth', CLASSIFIER],
  ['13-beside/numpy-scalar.pth', CLASSIFIER],
  ['13-beside/torch-small.pth', CLASSIFIER],
  ['14-dtypes/double.pth', CLASSIFIER],
  ['14-dtypes/half.pth', CLASSIFIER],
  ['15-prefixes/compiled-ddp.pth', CLASSIFIER],
  ['15-prefixes/compiled.pth', CLASSIFIER],
  ['19-safetensors/bf16.safetensors', CLASSIFIER],
  ['19-safetensors/f64.safetensors', CLASSIFIER],
  ['19-safetensors/half.safetensors', CLASSIFIER],
  ['19-safetensors/meta-null.safetensors', CLASSIFIER],
  ['19-safetensors/plain.safetensors', CLASSIFIER],
  ['28-pretrained/classifier.pth', 'yang-classifier 32x32, ndf 2, nz 4'],
  ['28-pretrained/inversion.pth', 'yang-inversion 32x32, ngf 2, nz 4'],
  ['30-told-by-name/MODEL.SAFETENSORS', CLASSIFIER],
  ['30-told-by-name/model.bin', CLASSIFIER],
  ['30-told-by-name/really-pth.safetensors', CLASSIFIER],
  ['30-told-by-name/really-safetensors.pth', CLASSIFIER],
];

/** Files whose tensors are read, but are no published network. */
const readOnly: [string, string[]][] = [
  ['14-dtypes/int16.pth', ['w I16 6']],
  ['14-dtypes/int8.pth', ['w I8 2,3', 'scale F32 ']],
  ['19-safetensors/header-leading-space.safetensors', ['a F32 4']],
  ['19-safetensors/i8-i16-u16-f8.safetensors', ['a I8 4', 'b I16 2', 'c U16 2', 'd F8_E4M3 4']],
  ['19-safetensors/keys.safetensors', ['__proto__ F32 1', 'constructor F32 1', '0 F32 1', 'ü b F32 1']],
  ['19-safetensors/reversed.safetensors', ['a F32 2', 'b F32 2']],
  ['19-safetensors/scalar-and-empty.safetensors', ['s F32 ', 'z F32 0,7', 'v F32 3']],
  ['34-hostile-pth/good.pth', ['a F32 2,3']],
];

const refused: [string, RegExp][] = [
  ['14-dtypes/complex.pth', /its tensors are w complex64/],
  ['18-not-a-checkpoint/arrays.npz', /an npz file of NumPy .*, not a checkpoint/],
  ['18-not-a-checkpoint/html.pth', /a web page, not a checkpoint/],
  ['18-not-a-checkpoint/lfs.pth', /a Git LFS pointer, not a checkpoint; fetch the file itself: git lfs pull/],
  ['18-not-a-checkpoint/lfs.safetensors', /a Git LFS pointer, not a checkpoint/],
  ['18-not-a-checkpoint/list.pth', /holds a list of 32 values, not a dictionary/],
  ['18-not-a-checkpoint/torchscript.pt', /a TorchScript program, not a checkpoint/],
  ['18-not-a-checkpoint/truncated.pth', /byte 7074: truncated or damaged zip/],
  [
    '18-not-a-checkpoint/whole-module.pth',
    /holds an object of torch\.nn\.modules\.linear\.Linear, of which nothing was run/,
  ],
  ['19-safetensors/duplicate.safetensors', /key a: begins at data offset 8, leaves a gap/],
  ['19-safetensors/empty.safetensors', /holds no tensors/],
  ['19-safetensors/header-bom.safetensors', /byte 8: the header is not JSON/],
  ['19-safetensors/header-past-end.safetensors', /header of 1000 bytes in a file of 10; truncated/],
  ['19-safetensors/hole.safetensors', /key b: .*leaves a gap/],
  ['19-safetensors/huge-header.safetensors', /byte 0: header of \d+ bytes in a file of 10/],
  ['19-safetensors/meta-only.safetensors', /holds no tensors/],
  ['19-safetensors/nan.safetensors', /key encoder\.0\.weight: element 0 is not finite/],
  ['19-safetensors/negative.safetensors', /key a: shape \[-4\]/],
  ['19-safetensors/overflow-shape.safetensors', /key a: .*its data offsets hold 16/],
  ['19-safetensors/overlap.safetensors', /key b: .*overlaps/],
  ['19-safetensors/part.safetensors', /key fc\.2\.weight is missing/],
  ['19-safetensors/trailing.safetensors', /2 bytes belong to no tensor/],
];

describe('checkpoints as they occur', () => {
  it.each(recognised)('the published network in %s is recognised', (path, model) => {
    expect(modelName(importNetwork(bytesOf(path), nameOf(path)).spec)).toBe(model);
  });

  it.each(readOnly)('the tensors of %s are listed, and importing them is refused', (path, tensors) => {
    const { dictionaries } = readTensorFile(bytesOf(path), nameOf(path));
    expect(dictionaries.map(({ path: name }) => name)).toEqual(['']);
    expect([...dictionaries[0].tensors].map(([key, { dtype, shape }]) => `${key} ${dtype} ${shape}`)).toEqual(tensors);
    expect(() => importNetwork(bytesOf(path), nameOf(path))).toThrow(
      /neither the classifier nor the inversion network/,
    );
  });

  it.each(refused)('importing %s is refused with a true reason', (path, message) => {
    const run = () => importNetwork(bytesOf(path), nameOf(path));
    expect(run).toThrow(DataError);
    expect(run).toThrow(message);
    expect(run).toThrow(/^[\x20-\x7e]{1,300}$/);
  });

  const hostile = readdirSync(`${CASES}34-hostile-pth`).filter((name) => name.endsWith('.pth'));
  it.each(hostile)('the hostile file %s gives tensors or a typed error of one printable line', (name) => {
    expect(hostile.length).toBeGreaterThan(30);
    const bytes = bytesOf(`34-hostile-pth/${name}`);
    try {
      for (const { tensors } of readTensorFile(bytes, name).dictionaries) {
        for (const tensor of tensors.values()) expect(tensor.read().data.length).toBeLessThan(100);
      }
    } catch (error) {
      expect(error).toBeInstanceOf(DataError);
      expect((error as Error).message).toMatch(/^[\x20-\x7e]{1,300}$/);
    }
    expect(() => importNetwork(bytes, name)).toThrow(DataError);
    expect(() => importNetwork(bytes, name)).toThrow(/^[\x20-\x7e]{1,300}$/);
  });

  it('every file of these cases is tested', () => {
    const named = new Set([...recognised, ...readOnly, ...refused].map(([path]) => path));
    const kinds = ['11-legacy', '13-beside', '14-dtypes', '15-prefixes', '18-not-a-checkpoint', '19-safetensors'];
    for (const kind of [...kinds, '28-pretrained', '30-told-by-name']) {
      const files = readdirSync(CASES + kind).filter((name) => name !== 'NOTE.txt');
      expect(files.map((name) => `${kind}/${name}`).filter((path) => !named.has(path))).toEqual([]);
    }
  });
});
