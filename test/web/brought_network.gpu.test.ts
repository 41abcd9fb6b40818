import { zipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDataset, type ImageDataset, meanImage } from '../../src/data/dataset.ts';
import { parseExperiment } from '../../src/experiments/config.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { presetInput } from '../../src/experiments/presets.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { writeCheckpoint } from '../../src/models/checkpoint.ts';
import type { NetworkDescription } from '../../src/models/network_description.ts';
import { importOnnx } from '../../src/models/onnx_file.ts';
import { Random } from '../../src/random.ts';
import { parseResults } from '../../src/results/results.ts';
import type { ChosenFile } from '../../src/web/protocol.ts';
import { DEFAULTS, type Setting } from '../../src/web/setting.ts';
import { node, onnxFile, weights } from '../support/onnx.ts';
import { fileOf, Page } from '../support/page.ts';
import { readFixture } from '../support/platform.ts';

const SETTING: Setting = { ...DEFAULTS, rate: 2 ** -6, draw: 2 };
const [WIDTH, HEIGHT, CLASSES] = [20, 28, 12];
const file = (name: string, bytes: Uint8Array): ChosenFile => ({ name, bytes: Uint8Array.from(bytes) });
const fixture = (name: string) => file(name, readFixture(`networks/${name}`));
const text = (content: string) => new TextEncoder().encode(content);

/** Two images of each class of mlp3.onnx: noise around a shade of gray. */
function pictures(perClass = 2): { path: string; pixels: Uint8Array }[] {
  const random = new Random(4);
  return Array.from({ length: CLASSES * perClass }, (_, i) => ({
    path: `photos/class${String(Math.floor(i / perClass)).padStart(2, '0')}/${i % perClass}.pgm`,
    pixels: Uint8Array.from({ length: WIDTH * HEIGHT }, () => 8 * Math.floor(i / perClass) + random.uniformInt(100)),
  }));
}
const pgm = (pixels: Uint8Array) => Uint8Array.from([...text(`P5 ${WIDTH} ${HEIGHT} 255\n`), ...pixels]);
const PHOTOS = pictures().map(({ path, pixels }) => file(path, pgm(pixels)));

let page: Page;
beforeAll(async () => {
  page = new Page();
  await page.ask({ kind: 'open', url: 'https://example.org/midas/' });
});
afterAll(() => page.session.close());

/** The message with which files are refused: one line. */
async function refusal(...files: readonly ChosenFile[]): Promise<string> {
  await page.ask({ kind: 'bring', files });
  const [{ message }] = page.of('failed');
  expect(message).toMatch(/^[ -~]{10,290}$/);
  return message;
}

/** The first two rows of the attack as the engine measures them without a page. */
async function rowsOfEngine(dataset: ImageDataset, layers: string) {
  const { spec, parameters } = importOnnx(readFixture('networks/mlp3.onnx'), 'mlp3.onnx');
  const preset = presetInput('shallow', { victim: spec.description as NetworkDescription, images: dataset });
  const config = parseExperiment(
    {
      ...preset,
      data: { kind: 'files', private: 'photos' },
      format: { kind: 'fixed', bits: 12, headroom: 2 },
      sweeps: [{ layers, rates: [SETTING.rate] }],
      noise: { kinds: [] },
      draws: 3,
      attacks: preset.attacks.slice(0, 1),
      people: [...Array(10).keys()],
      photographs: 1,
      evaluator: 'linear',
    },
    'test',
  );
  const all = Uint8Array.from(dataset.labels.keys());
  const split = { train: Uint32Array.from(all), test: Uint32Array.from(all) };
  const bytes = writeCheckpoint({ spec, state: { epoch: 0, parameters, optimizer: [] }, metadata: {} });
  const data = {
    dataset,
    split,
    meanFace: meanImage(dataset, all),
    pretrained: new Map([['victim.safetensors', bytes]]),
  };
  const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
  const { rows } = await runExperiment(page.gpu, data, config, context);
  return rows.filter(({ condition, draw }) =>
    condition.kind === 'none' ? draw === 0 : condition.kind === 'bit-error' && draw === SETTING.draw,
  );
}

describe('a network that a visitor brings', () => {
  it('a dropped ONNX file and a folder of classes are described, and attacked with the rows of the command line', async () => {
    await page.ask({ kind: 'bring', files: [fixture('mlp3.onnx'), ...PHOTOS] });
    const [{ name, input, classes, parameters, layers, images, attacks }] = page.of('brought');
    expect({ name, input, classes, parameters }).toEqual({
      name: 'mlp3',
      input: { width: WIDTH, height: HEIGHT, channels: 1 },
      classes: CLASSES,
      parameters: (560 + 1) * 64 + (64 + 1) * 33 + (33 + 1) * CLASSES,
    });
    expect(layers.map(({ kind, output }) => [kind, output])).toEqual([
      ['dense', '64'],
      ['dense', '33'],
      ['dense', '12'],
    ]);
    expect(images).toMatchObject({ count: 24, areLabelled: true });
    expect(images!.shown[0].answer).toMatch(/^class\d\d \d+ %$/);
    expect(attacks.map(({ kind }) => kind)).toEqual(['mi-face', 'inversion']);

    const chosen = layers.slice(1).map((layer) => layer.name);
    await page.ask({ kind: 'attack', setting: SETTING, network: { attack: 'mi-face', layers: chosen } });
    const ends = page.of('inversion').filter(({ row }) => row);
    const dataset = await createDataset({
      ...{ name: 'your images', width: WIDTH, height: HEIGHT },
      classNames: Array.from({ length: CLASSES }, (_, i) => `class${i}`),
      images: Uint8Array.from(pictures().flatMap(({ pixels }) => [...pixels])),
      labels: Uint32Array.from(PHOTOS, (_, i) => Math.floor(i / 2)),
      ids: PHOTOS.map(({ name }) => name),
    });
    const rows = await rowsOfEngine(dataset, chosen.join('+'));
    expect(ends.map(({ row }) => row)).toEqual(rows);
    expect(images!.right / 24).toBe(rows[0].accuracy);
  });

  it('a curve of a dropped network is reported like a run, with the rows of its attack, and starts again with other layers', async () => {
    await page.ask({ kind: 'bring', files: [fixture('mlp3.onnx'), ...PHOTOS] });
    const [{ layers }] = page.of('brought');
    const network = { attack: 'mi-face', layers: layers.slice(1).map(({ name }) => name) };
    const setting: Setting = { ...SETTING, draw: 0, draws: 1 };
    await page.ask({ kind: 'attack', setting, network });
    const attacked = page.of('inversion').flatMap(({ row }) => row ?? []);
    expect(page.of('results').map(({ of, results }) => [of, results.rows])).toEqual([['network', attacked]]);

    await page.ask({ kind: 'curve', setting, network });
    const { results } = page.of('results').at(-1)!;
    expect(parseResults(JSON.parse(JSON.stringify(results)), 'page')).toEqual(results);
    expect(results.rows).toEqual(expect.arrayContaining(attacked));
    const rates = results.rows.flatMap(({ condition }) => (condition.kind === 'bit-error' ? [condition.rates] : []));
    expect(rates).toHaveLength(8);
    expect(Object.keys(rates[0])).toEqual(network.layers);
    expect(results.manifest.command).toBe('https://example.org/midas/ with mlp3');
    expect(results.manifest.dataset).toMatchObject({ name: 'your images', classes: CLASSES });
    expect(page.of('measured')).toEqual([]);

    const others = { ...network, layers: [layers[0].name] };
    await page.ask({ kind: 'attack', setting, network: others });
    expect(page.of('results')[0].results.rows.map(({ condition }) => condition.layers)).toEqual([
      'none',
      others.layers[0],
    ]);
  }, 240_000);

  it('a fault map of a dropped network has the flips of one read of its own parameter, also without images', async () => {
    await page.ask({ kind: 'bring', files: [fixture('mlp3.onnx')] });
    const [{ layers }] = page.of('brought');
    const [{ name, tensors }] = layers.slice(-1);
    expect(tensors[0]).toBe(`${name}.weight`);
    const setting: Setting = { ...SETTING, rate: 2 ** -4, tensor: tensors[0] };
    await page.ask({ kind: 'map', setting, network: { attack: 'mi-face', layers: [name] } });
    const [{ of, rows, columns, stride, flips, total }] = page.of('map');
    expect(of).toBe('network');
    let flipped = 0;
    for (const [i, word] of flips.entries()) {
      for (let bits = i % stride < columns ? word : 0; bits !== 0; bits &= bits - 1) flipped++;
    }
    expect(flipped).toBe(total.flips);
    expect(flips).toHaveLength(rows * stride);
    expect(total.rate).toBeCloseTo(2 ** -4, 1);

    await page.ask({ kind: 'curve', setting, network: { attack: 'mi-face', layers: [name] } });
    expect(page.of('failed')[0].message).toBe('a curve needs images of the classes; drop some');
  });

  it('an attack on predictions learns from all images but the first of every class, which it reconstructs', async () => {
    const zip = zipSync(Object.fromEntries(pictures(3).map(({ path, pixels }) => [path, pgm(pixels)])));
    await page.ask({ kind: 'bring', files: [file('photos.zip', zip)] });
    const [{ images, layers }] = page.of('brought');
    expect(images).toMatchObject({ count: 36, areLabelled: true });
    await page.ask({
      kind: 'attack',
      setting: SETTING,
      network: { attack: 'inversion', layers: layers.map(({ name }) => name) },
    });
    const [truth, none, memory] = page.of('inversion');
    expect(truth.names.slice(0, 2)).toEqual(['photos/class00/0.pgm', 'photos/class01/0.pgm']);
    expect(truth.pictures.images[1]).toEqual(pictures(3)[3].pixels);
    expect([none.row!.n, none.row!.condition.kind, memory.row!.condition.kind]).toEqual([10, 'none', 'bit-error']);
    expect(none.row!.pcc).toBeGreaterThan(-1);
    expect(memory.pictures.images).not.toEqual(none.pictures.images);
  }, 240_000);

  it('images without labels get the answers of the network, so that without errors all stay the same', async () => {
    const loose = PHOTOS.map(({ name, bytes }) => file(name.replaceAll('/', '-'), bytes));
    await page.ask({ kind: 'bring', files: [fixture('mlp3.onnx'), ...loose] });
    expect(page.of('brought')[0].images).toMatchObject({ count: 24, areLabelled: false, right: 24 });
  });

  it('a network for RGB images is attacked without images, and its pictures are RGB', async () => {
    await page.ask({ kind: 'bring', files: [fixture('mobile.onnx')] });
    const [{ input, layers, images, attacks }] = page.of('brought');
    expect(input.channels).toBe(3);
    expect(images).toBeUndefined();
    expect(attacks.map(({ kind }) => kind)).toEqual(['mi-face']);
    await page.ask({ kind: 'attack', setting: SETTING, network: { attack: 'mi-face', layers: [layers[0].name] } });
    const shown = page.of('inversion');
    expect(shown.map(({ what }) => what)).not.toContain('truth');
    const end = shown.at(-1)!;
    expect(end.pictures.channels).toBe(3);
    expect(end.pictures.images[0]).toHaveLength(3 * input.width * input.height);
    expect(end.row!.condition.rates).toEqual({ [layers[0].name]: SETTING.rate });
    expect(end.believed!.of).toBe(Math.min(10, page.of('inversion')[0].names.length));
  }, 240_000);

  it('MI-Face against a trained network gives images that the network without errors recognises', async () => {
    await page.ask({ kind: 'bring', files: [file('faces.safetensors', fileOf('victim.safetensors'))] });
    const [{ input, classes, layers }] = page.of('brought');
    expect([input.width, input.channels, classes]).toEqual([32, 1, 30]);
    const setting = { ...SETTING, rate: 2 ** -3 };
    await page.ask({ kind: 'attack', setting, network: { attack: 'mi-face', layers: layers.map(({ name }) => name) } });
    const [none, memory] = page.of('inversion').flatMap(({ believed }) => believed ?? []);
    expect(none).toMatchObject({ recognised: 10, of: 10 });
    expect(none.confidence).toBeGreaterThan(0.5);
    expect(memory.confidence).toBeLessThan(none.confidence);
  }, 240_000);

  it('a checkpoint, and weights with a description, are the same network as the ONNX file', async () => {
    const { spec, parameters } = importOnnx(readFixture('networks/mlp3.onnx'), 'mlp3.onnx');
    const checkpoint = writeCheckpoint({ spec, state: { epoch: 0, parameters, optimizer: [] }, metadata: {} });
    await page.ask({ kind: 'bring', files: [file('mine.safetensors', checkpoint), ...PHOTOS] });
    const first = page.of('brought')[0].images;
    const description = file('net.json', text(JSON.stringify(spec.description)));
    await page.ask({ kind: 'bring', files: [description, fixture('mlp3.pth'), ...PHOTOS] });
    expect(page.of('brought')[0].images).toEqual(first);
  });
});

describe('files that cannot be used', () => {
  it('a transformer, a truncated file and a description without weights are refused in one line', async () => {
    const attention = [
      node('LayerNormalization', ['image', 'scale'], 'norm'),
      node('Einsum', ['norm', 'norm'], 'attention', { equation: 'bij,bkj->bik' }),
    ];
    const transformer = onnxFile({ nodes: attention, initializers: { scale: weights([6], 1) } });
    expect(await refusal(file('vit.onnx', transformer))).toMatch(/vit\.onnx: .*(LayerNormalization|Einsum)/);
    const whole = readFixture('networks/resnet_rgb.onnx');
    expect(await refusal(file('net.onnx', whole.subarray(0, 4000)))).toMatch(/^net\.onnx: /);
    expect(await refusal(file('net.json', text('{"kind":"network"}')))).toMatch(/without its weights/);
  });

  it('images of other channels, of other classes and alone are refused with what the network takes', async () => {
    const fresh = new Page();
    await fresh.ask({ kind: 'bring', files: PHOTOS });
    expect(fresh.of('failed')[0].message).toMatch(/no device/);
    await page.ask({ kind: 'bring', files: [fixture('mlp3.onnx')] });
    const red = file('red.ppm', Uint8Array.from([...text('P6 1 1 255\n'), 200, 0, 0]));
    expect(await refusal(red)).toBe('red.ppm: the image is RGB, the network takes gray images; convert it');
    expect(await refusal(...PHOTOS.slice(0, 6))).toMatch(/3 classes, but the network has 12 outputs/);
    expect(await refusal(file('notes.md.png', text('hello')))).toMatch(/notes\.md\.png: byte 0: a text file/);
    // The network that was brought before is still there.
    await page.ask({ kind: 'bring', files: PHOTOS });
    expect(page.of('brought')[0].name).toBe('mlp3');
  });
});
