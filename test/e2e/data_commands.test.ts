/** `midas data ...` and `midas import` as a user meets them: child processes, exit codes, files on disk. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { decodePng, encodePng } from '../../src/cli/render.ts';
import { loadPack } from '../../src/data/node/packs.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { readTensorFile } from '../../src/formats/tensor_file.ts';
import { readCheckpoint } from '../../src/models/checkpoint.ts';
import { modelName } from '../../src/models/specs.ts';
import { midas } from '../support/command_line.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const fixture = (name: string) => join(root, 'test/fixtures', name);
const data = (name: string) => fixture(join('cases', name));
/** The tensors of a published network, which tests change. */
const tensorsOf = (file: string) =>
  new Map(
    [
      ...readTensorFile(readFileSync(fixture(file)), file).dictionaries.find(({ path }) => path === 'model')!.tensors,
    ].map(([key, tensor]) => [key, tensor.read()]),
  );
const scratch = mkdtempSync(join(tmpdir(), 'midas-data-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A folder with one folder per person, each with one image of a constant gray. */
function faces(name: string, people: Record<string, number>): string {
  const dir = join(scratch, name);
  for (const [person, level] of Object.entries(people)) {
    const path = join(dir, person, '1.png');
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, encodePng(new Uint8Array(20 * 30).fill(level), 20, 30));
  }
  return dir;
}

describe('a data set in colour', () => {
  it('a folder is imported in RGB, in another shape and in the order of a file, and described', async () => {
    const dir = join(scratch, 'colours');
    for (const [name, colour] of Object.entries({ blue: [0, 0, 250], red: [250, 0, 0] })) {
      mkdirSync(join(dir, name), { recursive: true });
      const values = Uint8Array.from({ length: 20 * 30 * 3 }, (_, i) => colour[i % 3]);
      writeFileSync(join(dir, name, '1.png'), encodePng(values, 20, 30, 3));
    }
    const names = join(scratch, 'classes.txt');
    writeFileSync(names, 'red\nblue\n');
    const pack = join(scratch, 'colours.safetensors');
    const options = [
      '--layout',
      'folders',
      '--channels',
      'rgb',
      '--size',
      '8x10',
      '--class-names',
      names,
      '--out',
      pack,
    ];
    const { code, stdout, stderr } = await midas('data', 'import', dir, ...options);
    expect(stderr).not.toContain('midas:');
    expect(code).toBe(0);
    expect(stdout).toContain('2 images of 2 people (1 each), 8x10 RGB');
    expect(stdout).toContain('people: red, blue');
    const { dataset } = await loadPack(pack);
    expect([...dataset.labels]).toEqual([1, 0]);
    expect([...dataset.images.subarray(0, 6)]).toEqual([0, 0, 250, 0, 0, 250]);
  });
});

describe('a data set', () => {
  const pack = join(scratch, 'packs', 'faces.safetensors');

  it('a data set is imported from a folder, and its description is printed', async () => {
    const dir = faces('named', { Ada: 10, Bob: 20, Cy: 30 });
    const list = join(scratch, 'overlap.txt');
    writeFileSync(list, 'bob\n');
    const options = ['--layout', 'folders', '--size', '16', '--exclude', list, '--out', pack];
    const { code, stdout, stderr } = await midas('data', 'import', dir, ...options, '--json');
    expect(stderr).toContain('import');
    expect(code).toBe(0);
    const summary = JSON.parse(stdout);
    expect(summary).toMatchObject({
      images: 2,
      people: 2,
      width: 16,
      height: 16,
      layout: 'folders',
      excluded: ['Bob'],
    });
    const { dataset } = await loadPack(pack);
    expect(dataset.classNames).toEqual(['Ada', 'Cy']);
    expect(dataset.sha256).toBe(summary.sha256);
    const info = await midas('data', 'info', pack);
    expect(info.code).toBe(0);
    expect(info.stdout).toContain('2 images of 2 people (1 each), 16x16');
    expect(info.stdout).toContain(`sha256: ${summary.sha256}`);
    expect(info.stderr).toBe('');
    expect(JSON.parse((await midas('data', 'info', pack, '--json')).stdout)).toMatchObject({
      classNames: ['Ada', 'Cy'],
    });
  });

  it('files that cannot be used are all listed with --json, and skipped on request', async () => {
    const dir = faces('with pages', { Ada: 10, Bob: 20 });
    for (const name of ['Ada/2.jpg', 'Bob/2.jpg']) writeFileSync(join(dir, name), '<html>404</html>');
    const list = join(scratch, 'nobody.txt');
    writeFileSync(list, 'Eve\n');
    const options = ['--layout', 'folders', '--size', '8', '--out', pack, '--quiet', '--exclude', list];
    const refused = await midas('data', 'import', dir, ...options, '--json');
    expect(refused.code).toBe(4);
    const { error, badFiles } = JSON.parse(refused.stdout);
    expect(refused.stderr).toBe(`midas: ${error}\n`);
    expect(badFiles.map(({ file }: { file: string }) => file)).toEqual(['Ada/2.jpg', 'Bob/2.jpg']);

    const skipped = await midas('data', 'import', dir, ...options, '--skip-bad', '--json');
    expect(skipped.code).toBe(0);
    expect(JSON.parse(skipped.stdout)).toMatchObject({ images: 2, skipped: badFiles, unmatched: ['Eve'] });
    const info = await midas('data', 'info', pack);
    expect(info.stdout).toContain('skipped: 2 files that cannot be used: Ada/2.jpg, Bob/2.jpg\n');
  });

  it('images of NumPy are imported without a layout', async () => {
    const file = join(root, 'test/fixtures/cases/25-numpy/olivetti_faces.npy');
    const { code, stdout } = await midas('data', 'import', file, '--out', pack, '--quiet', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ images: 6, people: 3, width: 32, layout: 'numpy' });
  });

  it('a rendered data set is the same for the same seed and can be imported from its pictures', async () => {
    const [out, pictures] = [join(scratch, 'synth'), join(scratch, 'pictures')];
    const options = ['--people', '2', '--photos', '2', '--size', '16', '--population', 'public', '--seed', '7'];
    const first = await midas('data', 'synth', ...options, '--out', out, '--png', pictures, '--quiet');
    expect(first.stderr).toBe('');
    expect(first.code).toBe(0);
    const { dataset, origin } = await loadPack(join(out, 'faces-public.safetensors'));
    expect(dataset.ids).toEqual(['public-0/0', 'public-0/1', 'public-1/0', 'public-1/1']);
    expect(origin).toMatchObject({ layout: 'procedural', preparation: { seed: '7', population: 'public' } });
    const again = join(scratch, 'again.safetensors');
    await midas('data', 'synth', ...options, '--out', again, '--quiet');
    expect((await loadPack(again)).dataset).toEqual(dataset);
    const png = decodePng(readFileSync(join(pictures, 'public-1', '0.png')));
    expect(png.data.filter((_, i) => i % 4 === 0)).toEqual(dataset.images.subarray(512, 768));
    await midas('data', 'import', pictures, '--layout', 'folders', '--size', '16', '--out', again, '--quiet');
    expect((await loadPack(again)).dataset.sha256).toBe(dataset.sha256);
  });
});

describe('a PyTorch checkpoint', () => {
  it('a PyTorch checkpoint of a published network becomes a checkpoint with the same tensor names', async () => {
    const out = join(scratch, 'models', 'classifier.safetensors');
    const { code, stdout, stderr } = await midas('import', fixture('classifier.pth'), '--out', out, '--json');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const answer = JSON.parse(stdout);
    expect(answer.model).toEqual({
      name: 'yang-classifier 64x64, ndf 4, nz 7',
      kind: 'yang-classifier',
      size: 64,
      ndf: 4,
      classes: 7,
      parameters: 24471,
    });
    expect(answer.tensors).toHaveLength(28);
    expect(answer.tensors[0]).toEqual({ key: 'encoder.0.weight', dtype: 'F32', shape: [4, 1, 3, 3] });
    const { tensors } = readSafetensors(readFileSync(out), out);
    expect([...tensors.keys()]).toEqual(answer.tensors.map(({ key }: { key: string }) => key));
    expect(modelName(readCheckpoint(readFileSync(out), out).spec)).toBe(answer.model.name);
    const plain = await midas('import', fixture('inversion.pth'), '--out', out, '--quiet');
    expect(plain.stdout).toContain('decoder.0.weight F32 [7, 32, 4, 4]\n');
    expect(plain.stdout).toMatch(/\nyang-inversion 64x64, ngf 4, nz 7: 14581 parameters, a checkpoint of midas\n$/);

    const again = join(scratch, 'models', 'again.safetensors');
    const copy = await midas('import', out, '--out', again, '--json');
    expect(JSON.parse(copy.stdout).model.name).toBe('yang-inversion 64x64, ngf 4, nz 7');
    expect(readSafetensors(readFileSync(again), again).tensors).toEqual(
      readSafetensors(readFileSync(out), out).tensors,
    );
  });

  it('what was recognised of an ONNX file and of a state dict with a description is printed, and in the JSON', async () => {
    const out = join(scratch, 'models', 'imported.safetensors');
    const onnx = join(root, 'test/fixtures/networks/lenet.onnx');
    const printed = await midas('import', onnx, '--out', out, '--quiet');
    expect(printed.code).toBe(0);
    const { stdout } = await midas('import', onnx, '--out', out, '--json');
    const { model, classes, folded, weightLayers } = JSON.parse(stdout);
    const { height, width } = model.input;
    expect(printed.stdout).toContain(`\ninput: ${width}x${height} gray, not normalised\nclasses: ${classes}\n`);
    expect(printed.stdout).toContain(
      '\nbatch normalisation: none; exporters fold it into the convolutions before it\n',
    );
    expect(folded).toBe(true);
    expect(printed.stdout).toContain(`\nlayers whose weights get bit errors (all): ${weightLayers.join(', ')}\n`);
    const names = model.layers.filter(({ kind }: { kind: string }) => /^(conv2d|dense)$/.test(kind));
    expect(weightLayers).toEqual(names.map(({ name }: { name: string }) => name));

    const network = join(scratch, 'lenet.json');
    const { parameters: _, name: __, ...description } = model;
    // Other names than those of the state dict, so that layers are matched by order and shape.
    const layers = model.layers.map((layer: object, i: number) => ({ ...layer, name: `layer${i}` }));
    writeFileSync(network, JSON.stringify({ ...description, layers }));
    const torch = ['import', onnx.replace('.onnx', '.pth'), '--network', network, '--out', out];
    const matched = await midas(...torch);
    const answer = JSON.parse((await midas(...torch, '--json')).stdout);
    expect(answer).toMatchObject({ classes, folded: false });
    expect(answer.weightLayers).toHaveLength(weightLayers.length);
    expect(answer.notes).toEqual([expect.stringMatching(/layers were matched by order and shape: .* is layer\d/)]);
    expect(`${matched.stdout}${matched.stderr}`).toContain(answer.notes[0]);
  });

  it('a file with several networks is imported with --key', async () => {
    const source = join(scratch, 'two.safetensors');
    const network = readSafetensors(readFileSync(data('19-safetensors/plain.safetensors')), 'plain').tensors;
    const both = ['first', 'second'].flatMap((name) =>
      [...network].map(([key, tensor]) => [`${name}.${key}`, tensor] as const),
    );
    writeFileSync(source, writeSafetensors(new Map(both)));
    const out = join(scratch, 'models', 'first.SAFETENSORS');
    const unclear = await midas('import', source, '--out', out);
    expect(unclear.stderr).toContain('holds several networks: first (classifier), second (classifier); name one');
    expect(unclear.code).toBe(4);
    const { code, stdout } = await midas('import', source, '--out', out, '--key', 'second', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).model.name).toBe('yang-classifier 32x32, ndf 1, nz 4');
    expect(readSafetensors(readFileSync(out), out).tensors.size).toBe(28);
  });
});

describe('bad input to the data and import commands', () => {
  const written = (name: string, content: Uint8Array | string) => {
    const path = join(scratch, name);
    writeFileSync(path, content);
    return path;
  };
  const out = join(scratch, 'refused', 'x.safetensors');
  const imported = (dir: string, ...more: string[]) => ['data', 'import', dir, '--out', out, ...more];

  const cases: [string, () => string[], number, RegExp][] = [
    ['no layout', () => imported(scratch), 2, /--layout: .* say which of attfaces, facescrub, celeba, folders it is/],
    ['an unknown layout', () => imported(scratch, '--layout', 'flat'), 2, /Allowed choices are attfaces, facescrub/],
    ['a size of zero', () => imported(scratch, '--layout', 'folders', '--size', '0'), 2, /size: 0 is not an integer/],
    ['a folder that does not exist', () => imported(join(scratch, 'no'), '--layout', 'folders'), 4, /no such file/],
    ['a single person', () => imported(faces('one', { a: 1 }), '--layout', 'folders'), 4, /1 person; at least 2/],
    [
      'a file that is not a picture',
      () => {
        const dir = faces('spoilt', { a: 1, b: 2 });
        writeFileSync(join(dir, 'b', '2.jpg'), 'x');
        return imported(dir, '--layout', 'facescrub');
      },
      4,
      /b\/2\.jpg: .*; fix or remove the file, or leave it out with data import --skip-bad/,
    ],
    [
      'a folder as the file to write',
      () => ['data', 'import', faces('two', { a: 1, b: 2 }), '--layout', 'folders', '--out', scratch],
      2,
      /--out .*: this is a folder/,
    ],
    ['no people to render', () => ['data', 'synth', '--people', '0', '--out', out], 2, /--people: 0 is not an integer/],
    ['a malformed size', () => ['data', 'synth', '--size', '8x'], 2, /such as 64 or 56x64/],
    ['an unknown population', () => ['data', 'synth', '--population', 'all'], 2, /Allowed choices are private, public/],
    [
      'a file that is not a pack',
      () => ['data', 'info', written('text.safetensors', 'hello world')],
      4,
      /text\.safetensors: a text file, not a safetensors file/,
    ],
    [
      'a safetensors file that is not a pack',
      () => ['data', 'info', fixture('optim.safetensors')],
      4,
      /optim\.safetensors: key format/,
    ],
    [
      'a checkpoint that does not exist',
      () => ['import', join(scratch, 'no.pth'), '--out', out],
      4,
      /no\.pth: no such/,
    ],
    [
      'a truncated checkpoint',
      () => ['import', written('cut.pth', readFileSync(fixture('classifier.pth')).subarray(0, 5000)), '--out', out],
      4,
      /cut\.pth: byte 5000: truncated or damaged zip/,
    ],
    [
      'a published network with another shape',
      () => {
        const tensors = tensorsOf('classifier.pth');
        tensors.set('module.fc.2.bias', { dtype: 'F32', shape: [8], data: new Float32Array(8) });
        return ['import', written('bent.safetensors', writeSafetensors(tensors)), '--out', out];
      },
      4,
      /bent\.safetensors: key fc\.2\.bias is F32 \[8\], the model needs F32 \[7\]/,
    ],
    [
      'a published network that is not finite',
      () => {
        const tensors = tensorsOf('inversion.pth');
        tensors.get('module.decoder.3.bias')!.data[2] = Number.NaN;
        return ['import', written('nan.safetensors', writeSafetensors(tensors)), '--out', out];
      },
      4,
      /nan\.safetensors: key decoder\.3\.bias: element 2 is not finite/,
    ],
    [
      'a checkpoint of another kind',
      () => ['import', written('page.pth', '<html>'), '--out', out],
      4,
      /page\.pth: a web page, not a checkpoint; open the link in a browser/,
    ],
    [
      'a checkpoint without a published network',
      () => ['import', data('34-hostile-pth/good.pth'), '--out', out],
      4,
      /good\.pth: neither the classifier nor the inversion network of Yang et al\. \(its tensors are a F32\)/,
    ],
    [
      'a key that the file does not have',
      () => ['import', data('13-beside/namespace.pth'), '--key', 'net', '--out', out],
      2,
      /--key net: .*namespace\.pth has tensors in state_dict; name one of them/,
    ],
  ];

  it.each(cases)('bad input ends with an error message and the right exit code: %s', async (_, args, code, message) => {
    const result = await midas(...args());
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe('');
    expect(result.stderr).not.toMatch(/\n\s+at /);
  });

  it('a command that refuses its input writes nothing', () => {
    expect(existsSync(out)).toBe(false);
    if (existsSync(dirname(out))) expect(readdirSync(dirname(out))).toEqual([]);
  });
});
