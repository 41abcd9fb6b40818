import { beforeAll, describe, expect, it } from 'vitest';
import { decodePng, encodePng, svgToPng } from '../../src/cli/render.ts';
import { resultsOf } from '../../src/cli/run_files.ts';
import { createDataset, seededSplit, toFloat } from '../../src/data/dataset.ts';
import { DataError } from '../../src/errors.ts';
import { type ExperimentConfig, parseExperiment } from '../../src/experiments/config.ts';
import { type ExperimentOutcome, MEAN_FACE_FILE, runExperiment } from '../../src/experiments/experiment.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { isUndefended } from '../../src/results/condition.ts';
import { decodePictures } from '../../src/results/pictures.ts';
import { parsePresentation } from '../../src/results/presentation.ts';
import { type Condition, type Manifest, pictureFile } from '../../src/results/results.ts';
import { contactSheets } from '../../src/results/sheets.ts';
import { verdictOf } from '../../src/results/verdict.ts';
import { COLOUR_SIZE, channelMeans, colourDataset, HUES } from '../support/colours.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();

const VICTIM = {
  kind: 'softmax',
  hidden: [],
  training: {
    epochs: 30,
    batchSize: 8,
    optimizer: { kind: 'sgd', learningRate: 0.05, momentum: 0.9, weightDecay: 1e-3 },
  },
};
const MI_FACE = { kind: 'mi-face', iterations: 20, step: 1, totalVariation: 20, keep: 'last' };
const ATTACKS = [
  { ...MI_FACE, start: 'zero' },
  { ...MI_FACE, start: 'mean', process: { every: 5, strength: 0.1, sharpen: 0.3 } },
  { ...MI_FACE, start: 'zero', totalVariation: 0, search: { directions: 16, sigma: 0.1, cell: 4 } },
  {
    kind: 'inversion',
    network: { kind: 'dense', hidden: [16] },
    training: { epochs: 60, batchSize: 8, learningRate: 1e-2 },
  },
  {
    kind: 'generative',
    filters: 4,
    code: 8,
    training: { steps: 60, batchSize: 8, learningRate: 5e-3 },
    candidates: 16,
  },
];
const configuration = (changes: object = {}): ExperimentConfig => {
  const data = { kind: 'files', private: 'colours' };
  const input = { data, victim: VICTIM, draws: 1, attacks: ATTACKS, evaluator: 'linear', seed: 2, ...changes };
  return parseExperiment(input, 'test');
};

let data: ExperimentData;
beforeAll(async () => {
  const dataset = await colourDataset('private', 6, 1);
  data = experimentData(dataset, seededSplit(dataset, 4, 1), await colourDataset('public', 10, 2));
});

const run = (config: ExperimentConfig, store = new InMemoryRunStore(), of = data) =>
  runExperiment(device.gpu, of, config, { store, progress: SILENT, signal: new AbortController().signal });

describe('an experiment on RGB images', () => {
  let outcome: ExperimentOutcome;
  let store: InMemoryRunStore;
  let none: Condition;
  beforeAll(async () => {
    store = new InMemoryRunStore();
    outcome = await run(configuration(), store);
    none = outcome.rows.map(({ condition }) => condition).find(isUndefended)!;
  });

  const picturesOf = async (file: string) => decodePictures((await store.read(file))!, file);
  const named = (name: string) =>
    outcome.rows.find(({ attack, condition }) => attack === name && isUndefended(condition))!;

  it('the victim learns the colours, and every attack is measured by every judge', () => {
    expect(outcome.rows.map(({ attack }) => attack)).toEqual(
      expect.arrayContaining(['mi-face zero', 'mi-face mean PROCESS', 'mi-face zero black-box', 'inversion, training']),
    );
    for (const row of outcome.rows) {
      expect(row.accuracy).toBe(1);
      for (const value of [row.pcc, row.mse, row.psnr, row.ssim, row.identity]) {
        expect(Number.isFinite(value)).toBe(true);
      }
    }
    expect(outcome.presentation.evaluators.linear).toBe(1);
  });

  it.each(['mi-face zero', 'mi-face zero black-box'])('%s finds the hue of every class', async (attack) => {
    const { width, height, channels, images } = await picturesOf(pictureFile(none, attack));
    expect({ width, height, channels }).toEqual(COLOUR_SIZE);
    Object.values(HUES).forEach((hue, person) => {
      const means = channelMeans(images[person]);
      const weak = means.filter((_, channel) => hue[channel] < 0.5);
      const strong = means.filter((_, channel) => hue[channel] > 0.5);
      expect(Math.min(...strong), `${attack}, class ${person}: ${means}`).toBeGreaterThan(Math.max(...weak));
    });
  });

  it('PROCESS keeps the reconstructions in 0..1 and their hues apart', async () => {
    const { images } = await picturesOf(pictureFile(none, 'mi-face mean PROCESS'));
    const [red, green, blue] = images.map(channelMeans);
    expect(red[0]).toBeGreaterThan(Math.max(green[0], blue[0]));
    expect(green[1]).toBeGreaterThan(Math.max(red[1], blue[1]));
    expect(blue[2]).toBeGreaterThan(Math.max(red[2], green[2]));
  });

  it('the inversion network gives every photograph its colours back', async () => {
    const truth = (await picturesOf('pictures/truth_training.npy')).images;
    const { images } = await picturesOf(pictureFile(none, 'inversion, training'));
    expect(images.length).toBe(truth.length);
    images.forEach((image, i) => {
      const [own, wanted] = [channelMeans(image), channelMeans(truth[i])];
      for (const channel of own.keys()) expect(Math.abs(own[channel] - wanted[channel])).toBeLessThan(0.1);
    });
    expect(named('inversion, training').pcc).toBeGreaterThan(0.9);
  });

  it('the presentation names the channels, and the contact sheet shows the pictures in colour', async () => {
    const written = parsePresentation((await store.read('presentation.json'))!, 'presentation.json');
    expect(written.channels).toBe(3);
    const manifest = { dataset: { name: 'colours' }, config: {}, seed: 2 } as unknown as Manifest;
    const results = resultsOf(manifest, outcome.rows, outcome.presentation);
    const stored = new Map(
      [...store.files.keys()]
        .filter((file) => file.endsWith('.npy'))
        .map((file) => [file, decodePictures(store.files.get(file) as Uint8Array, file).images]),
    );
    const pictures = {
      meanFace: stored.get(MEAN_FACE_FILE)![0],
      truth: (file: string) => stored.get(file)!,
      reconstructions: (condition: Condition, attack: string) => stored.get(pictureFile(condition, attack)),
    };
    const input = { results, verdict: verdictOf(results), presentation: outcome.presentation, pictures };
    const { svg } = contactSheets(input, { encodePng }).find(({ name }) => name === 'recon-all')!;
    const embedded = [...svg.matchAll(/ href="data:image\/png;base64,([^"]+)"/g)].map(([, base64]) =>
      decodePng(Buffer.from(base64, 'base64')),
    );
    const shown = embedded[2];
    expect([shown.width, shown.height]).toEqual([12, 10]);
    const first = data.split.train.find((image) => data.dataset.labels[image] === 2)!;
    const bytes = toFloat(data.dataset, [first]).map((value) => Math.round(255 * value));
    expect([...shown.data.filter((_, i) => i % 4 < 3)]).toEqual([...bytes]);
    const png = decodePng(svgToPng(svg, 700));
    const isBlue = (i: number) => png.data[i + 2] > 150 && png.data[i] < 80 && png.data[i + 1] < 80;
    const blue = Array.from({ length: png.data.length / 4 }, (_, pixel) => 4 * pixel).filter(isBlue);
    expect(blue.length).toBeGreaterThan(50);
  });
});

it('an autoencoder of RGB images is searched through its code, and PROCESS filters its images', async () => {
  const training = { ...VICTIM.training, epochs: 3, reconstruction: { epochs: 3, deviation: 0.1, learningRate: 1e-3 } };
  const attacks = [
    { kind: 'mi-face', start: 'mean', iterations: 6, step: 1, process: { every: 2, strength: 0.1, sharpen: 0.3 } },
  ];
  const store = new InMemoryRunStore();
  const { rows } = await run(configuration({ victim: { kind: 'dae', hidden: [12, 8], training }, attacks }), store);
  expect(rows).toHaveLength(1);
  const file = pictureFile(rows[0].condition, rows[0].attack);
  const { images, ...size } = decodePictures((await store.read(file))!, file);
  expect(size).toEqual(COLOUR_SIZE);
  expect(new Set(images[0]).size).toBeGreaterThan(20);
});

describe('images that do not fit an experiment', () => {
  it('the convolutional victim refuses RGB images and says what to do', async () => {
    const { dataset } = data;
    const square = await createDataset({
      ...dataset,
      width: 32,
      height: 32,
      images: new Uint8Array(dataset.labels.length * 32 * 32 * 3),
    });
    const victim = { ...VICTIM, kind: 'yang', hidden: undefined, ndf: 2 };
    const config = configuration({ victim: JSON.parse(JSON.stringify(victim)) });
    const refused = run(config, undefined, experimentData(square, data.split));
    await expect(refused).rejects.toThrow(DataError);
    await expect(refused).rejects.toThrow(/images are RGB, the network yang takes gray images; convert them/);
  });

  it('public images of other channels are refused', async () => {
    const { dataset, split, publicFaces } = data;
    const gray = await createDataset({
      ...publicFaces!,
      channels: 1,
      images: publicFaces!.images.filter((_, i) => i % 3 === 0),
    });
    await expect(run(configuration(), undefined, experimentData(dataset, split, gray))).rejects.toThrow(
      'public colours: images are 12x10 gray, those of private colours are 12x10 RGB',
    );
  });
});
