import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseExperiment } from '../../src/experiments/config.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { proceduralData } from '../../src/experiments/faces.ts';
import { presetInput } from '../../src/experiments/presets.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/models/checkpoint.ts';
import { parseResults } from '../../src/results/results.ts';
import type { Reply } from '../../src/web/protocol.ts';
import { DEFAULTS, normalised, RATES, type Setting } from '../../src/web/setting.ts';
import type { ShippedResults } from '../../src/web/shipped.ts';
import { pointOf } from '../../src/web/verdict.ts';
import { decode } from '../support/images.ts';
import { fileOf, Page, shipped } from '../support/page.ts';
import { heldOut, SHIPPED_SETTING } from '../support/ship_page.ts';

// The network that inverts a dense victim is trained for two epochs instead of forty: its pictures are not judged here.
vi.mock('../../src/experiments/presets.ts', async (original) => {
  const presets = await original<typeof import('../../src/experiments/presets.ts')>();
  const presetInput: typeof presets.presetInput = (name, options = {}) => {
    const preset = presets.presetInput(name, options);
    if (name !== 'deep' || options.victim === undefined || options.victim === 'yang') return preset;
    const attacks = (preset.attacks as { training: object }[]).map((attack) => ({
      ...attack,
      training: { ...attack.training, epochs: 2 },
    }));
    return { ...preset, attacks } as typeof preset;
  };
  return { ...presets, presetInput };
});

/** Calls of `proceduralData` so far. */
const calls = vi.hoisted(() => ({ count: 0 }));
// The session and the run that it is compared with have the same faces; drawing them once saves seconds.
vi.mock('../../src/experiments/faces.ts', async (original) => {
  const faces = await original<typeof import('../../src/experiments/faces.ts')>();
  const drawn = new Map<string, ReturnType<typeof faces.proceduralData>>();
  const proceduralData: typeof faces.proceduralData = (gpu, data, seed) => {
    calls.count++;
    const key = JSON.stringify([data, seed]);
    if (!drawn.has(key)) drawn.set(key, faces.proceduralData(gpu, data, seed));
    return drawn.get(key)!;
  };
  return { ...faces, proceduralData };
});

const URL_OF_PAGE = 'https://example.org/midas/';
const QUICK: Setting = { ...DEFAULTS, draws: 2 };

const SHIPPED = fileURLToPath(new URL('../../src/web/shipped/', import.meta.url));

let page: Page;
/** The victim that the page opened with. */
let victims: Extract<Reply, { kind: 'victim' }>[] = [];
beforeAll(async () => {
  page = new Page();
  await page.ask({ kind: 'open', url: URL_OF_PAGE });
  victims = page.of('victim');
});
afterAll(() => page.session.close());

it('opening shows the true faces of both splits and the accuracies of the networks', () => {
  const [{ truth, trainAccuracy, evaluatorAccuracy, tensors }] = page.of('victim');
  for (const side of ['held-out', 'training'] as const) {
    expect(truth[side].images).toHaveLength(10);
    expect(new Set(truth[side].names).size).toBe(10);
    for (const image of truth[side].images) expect(new Set(image).size).toBeGreaterThan(30);
  }
  expect(trainAccuracy).toBeGreaterThan(0.99);
  expect(evaluatorAccuracy).toBeGreaterThan(0.9);
  expect(tensors).toContain('fc1.weight');
});

describe('a measurement of a setting', () => {
  it('a measurement has the numbers of the command line, draw by draw', async () => {
    await page.ask({ kind: 'measure', setting: QUICK });
    const { results, chosen } = page.of('results').at(-1)!;
    const preset = presetInput('deep');
    const [inversion] = preset.attacks as object[];
    const config = parseExperiment(
      {
        ...preset,
        format: { kind: 'fixed', bits: 12, headroom: 2 },
        sweeps: [{ layers: 'fc1+fc2', rates: [QUICK.rate] }],
        noise: { kinds: [] },
        draws: 2,
        evaluator: 'linear',
        photographs: 1,
        attacks: [{ ...inversion, attackers: [{ name: 'direct' }, { name: 'clipped', clip: 'observed' }] }],
      },
      'test',
    );
    if (config.data.kind !== 'procedural')
      throw new Error('the preset `deep` should have procedural faces, but does not');
    const data = { ...(await proceduralData(page.gpu, config.data, 1)), pretrained: await shipped() };
    const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
    const run = await runExperiment(page.gpu, data, config, context);
    const strip = ({ rows }: Pick<typeof results, 'rows'>) =>
      rows.filter(({ condition }) => condition.kind !== 'quantised');
    expect(strip(results)).toEqual(strip({ rows: [...run.rows] }));
    expect(results.baselines).toEqual(run.presentation.baselines);
    expect(chosen.map(({ draws }) => draws).sort()).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
    expect(parseResults(JSON.parse(JSON.stringify(results)), 'page')).toEqual(results);
    expect(results.manifest.command).toBe(`${URL_OF_PAGE}?draws=2`);
  });

  it('a measurement shows the chosen draw, and a worse memory lowers accuracy and PCC', async () => {
    const measured: Record<string, Extract<Reply, { kind: 'measured' }>> = {};
    for (const [name, change] of Object.entries({
      gentle: { rate: 2 ** -12 },
      bad: { rate: 2 ** -4 },
      other: { rate: 2 ** -4, draw: 1 },
    })) {
      await page.ask({ kind: 'measure', setting: { ...QUICK, draws: 1, ...change } });
      measured[name] = page.of('measured').find(({ what }) => what === 'memory')!;
    }
    const first = (name: string) => measured[name].attacks[0];
    expect(first('gentle').row.accuracy).toBeGreaterThan(first('bad').row.accuracy);
    expect(first('gentle').row.pcc!).toBeGreaterThan(first('bad').row.pcc!);
    expect(first('other').row.draw).toBe(1);
    expect(first('other').pictures.images).not.toEqual(first('bad').pictures.images);
  });

  it('the results that come with the page are those of the engine', async () => {
    const results: ShippedResults = JSON.parse(new TextDecoder().decode(fileOf('results.json', SHIPPED)));
    const sheet = await decode(fileOf('faces.jpg', SHIPPED));
    const index = RATES.indexOf(2 ** -4);
    const setting = { ...SHIPPED_SETTING, rate: RATES[index] };
    await page.ask({ kind: 'measure', setting });
    const [{ weights, bits }] = page.of('weights');
    expect(weights.map(({ code, read }) => [code, read])).toEqual(
      results.weights.map(({ code, reads }) => [code, reads[index]]),
    );
    expect(bits).toBe(results.tensor.bits);
    expect(victims[0].truth['held-out'].names).toEqual(results.names);
    // A row of the sheet for the true faces, for those without errors, and for every rate.
    for (const [row, what, point] of [
      [1, 'none', results.none],
      [2 + index, 'memory', results.rates[index]],
    ] as const) {
      const { row: measured, pictures } = heldOut(page.of('measured').find((reply) => reply.what === what)!.attacks);
      expect(pointOf(measured)).toEqual(point);
      const { width, height, images } = pictures;
      let difference = 0;
      for (const [i, image] of images.entries()) {
        for (let y = 0; y < height; y++) {
          const at = (row * height + y) * sheet.width + i * width;
          for (let x = 0; x < width; x++) {
            difference += Math.abs(sheet.pixels[(at + x) * sheet.channels] - image[y * width + x]);
          }
        }
      }
      // The sheet is a JPEG; two pictures of other draws differ by more than 15 levels.
      expect(difference / (images.length * width * height)).toBeLessThan(5);
    }
    await page.ask({ kind: 'map', setting });
    const [{ rows, columns, stride, flips }] = page.of('map');
    const first = await decode(fileOf('flips.png', SHIPPED));
    for (let i = 0; i < rows * columns; i++) {
      const isFlipped = flips[Math.floor(i / columns) * stride + (i % columns)] !== 0;
      if (isFlipped !== first.pixels[i * first.channels] <= index) throw new Error(`weight ${i} differs`);
    }
  });

  it('a measurement has the same means whatever was shown before, and the energy of its own voltage', async () => {
    const setting: Setting = { ...QUICK, memory: 'dram-C', volts: 1.2, layers: 'fc1', seed: 5 };
    const end = async (change: Partial<Setting>) => {
      await page.ask({ kind: 'measure', setting: { ...setting, ...change } });
      const { chosen, energy } = page.of('results').at(-1)!;
      return { chosen, energy };
    };
    const first = await end({});
    await end({ draw: 3 });
    const lower = await end({ volts: 1.15 });
    expect(lower.energy!.relative).toBeLessThan(first.energy!.relative);
    expect(await end({})).toEqual(first);
  });

  it('a measurement ends early when another one follows, and only the last one runs to its end', async () => {
    page.replies = [];
    const first = page.start({ kind: 'measure', setting: { ...QUICK, draws: 50, seed: 7 } });
    const last = page.start({ kind: 'measure', setting: { ...QUICK, draws: 1, seed: 8 } });
    await Promise.all([first, last]);
    expect(page.of('ended').map(({ how }) => how)).toEqual(['stopped', 'done']);
  });
});

describe('a curve over settings', () => {
  it('a curve fills in row by row, waits in a pause, stops, and continues where it was', async () => {
    const setting: Setting = { ...QUICK, draws: 1, layers: 'fc1', seed: 3 };
    page.replies = [];
    let rows = 0;
    page.posted = (reply) => {
      if (reply.kind !== 'results') return;
      rows = reply.results.rows.length;
      if (rows >= 12) void page.session.handle({ kind: 'pause' });
    };
    const curve = page.start({ kind: 'curve', setting });
    while (rows < 12) await new Promise((resolve) => setTimeout(resolve, 10));
    const held = rows;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(rows).toBe(held);
    page.posted = () => {};
    await page.session.handle({ kind: 'stop' });
    await curve;
    expect(page.of('ended').at(-1)).toMatchObject({ job: 'curve', how: 'stopped' });

    // The page's own test measures a whole curve.
    page.posted = (reply) => {
      if (reply.kind === 'results' && reply.results.rows.length >= held + 3) void page.session.handle({ kind: 'stop' });
    };
    await page.ask({ kind: 'curve', setting });
    page.posted = () => {};
    const { rows: all } = page.of('results').at(-1)!.results;
    expect(all.length).toBeGreaterThanOrEqual(held + 3);
    const keys = all.map((row) => JSON.stringify([row.condition, row.draw, row.attack]));
    expect(new Set(keys).size).toBe(keys.length);
  });
});

it('MI-Face trains a victim, then shows its images as they become faces, without a defence and with one', async () => {
  await page.ask({ kind: 'invert', setting: { ...QUICK, rate: 2 ** -4, model: 'softmax' } });
  const shown = page.of('inversion');
  expect(shown.map(({ what }) => what).filter((what, i, all) => what !== all[i - 1])).toEqual([
    'truth',
    'none',
    'memory',
  ]);
  const none = shown.filter(({ what }) => what === 'none');
  expect(none.map(({ iteration }) => iteration)).toEqual([8, 16, 24, 32, 40, 48, 56, 60]);
  expect(none[0].pictures.images).not.toEqual(none.at(-1)!.pictures.images);
  const [without, defended] = shown.filter(({ row }) => row).map(({ row }) => row!);
  expect(without.pccLift).toBeGreaterThan(0.2);
  expect(defended.accuracy).toBeLessThan(without.accuracy);
  expect(page.of('ended').at(-1)).toMatchObject({ how: 'done' });
}, 240_000);

it('MI-Face attacks the shipped convolutional network, and rounded confidences do not change its result', async () => {
  const attack = async (release: Setting['release']) => {
    await page.ask({ kind: 'invert', setting: { ...QUICK, model: 'yang', release } });
    return page.of('inversion').flatMap(({ row }) => (row ? [row] : []));
  };
  const exact = await attack('exact');
  expect(exact.map(({ condition }) => condition.kind)).toEqual(['none', 'bit-error']);
  expect(exact[0].accuracy).toBeGreaterThan(0.9);
  expect(exact[0].n).toBe(10);
  expect((await attack('rounding-1')).map(({ pcc }) => pcc)).toEqual(exact.map(({ pcc }) => pcc));
}, 240_000);

it('another victim is trained with the network that inverts it, and its layers are reported', async () => {
  await page.ask({ kind: 'measure', setting: normalised({ ...QUICK, victim: 'softmax', draws: 1 }) });
  const [{ victim, tensors, outputs }] = page.of('victim');
  expect(victim).toBe('softmax');
  expect(tensors).toEqual(['fc1.weight', 'fc1.bias']);
  expect(outputs.map(({ attacker, split }) => [attacker, split])).toEqual([
    ['direct', 'held-out'],
    ['direct', 'training'],
    ['clipped', 'held-out'],
    ['clipped', 'training'],
  ]);
  const { results } = page.of('results').at(-1)!;
  expect(new Set(results.rows.map(({ condition }) => condition.layers))).toEqual(new Set(['none', 'fc1']));
}, 400_000);

it('a fault map has the flips that its table counts', async () => {
  await page.ask({ kind: 'map', setting: { ...QUICK, rate: 2 ** -5, draw: 3 } });
  const [{ rows, columns, stride, flips, planes, total }] = page.of('map');
  const counts = planes.map((_, bit) => {
    let count = 0;
    for (let i = 0; i < flips.length; i++) count += i % stride < columns ? (flips[i] >>> bit) & 1 : 0;
    return count;
  });
  expect(flips).toHaveLength(rows * stride);
  expect(counts).toEqual(planes.map((plane) => plane.flips));
  expect(total.rate).toBeCloseTo(2 ** -5, 2);
  await page.ask({ kind: 'map', setting: { ...QUICK, tensor: 'conv1.weight' } });
  expect(page.of('failed')[0].message).toMatch(/conv1.weight lies in exact memory; choose layers that include conv1/);
});

it('a visitor’s images are reconstructed beside the true ones', async () => {
  const images = [40, 120].map((shade, i) => ({
    name: `${i}.png`,
    pixels: Uint8Array.from({ length: 1024 }, (_, k) => shade + (k % 64)),
  }));
  await page.ask({ kind: 'own', setting: { ...QUICK, rate: 2 ** -3 }, images });
  const [{ names, rows }] = page.of('own');
  expect(names).toEqual(['0.png', '1.png']);
  expect(rows.map(({ pcc }) => pcc?.length)).toEqual([undefined, 2, 2]);
  expect(rows[0].pictures.images.map((image) => image[0])).toEqual([40, 120]);
  expect(rows[1].pictures.images).not.toEqual(rows[2].pictures.images);
});

describe('networks of a visitor', () => {
  it('a visitor’s networks replace the shipped ones, on the same faces, and have their own rows, also under a name that was used before', async () => {
    const accuracies: number[] = [];
    const before = calls.count;
    for (const scale of [1, 0.3]) {
      const { spec, state } = readCheckpoint(fileOf('victim.safetensors'), 'victim');
      const parameters = new Uint32Array(
        Float32Array.from(new Float32Array(state.parameters.buffer), (x) => x * scale).buffer,
      );
      const bytes = writeCheckpoint({ spec, state: { epoch: 0, parameters, optimizer: [] }, metadata: {} });
      await page.ask({ kind: 'open', url: URL_OF_PAGE, files: [{ name: 'mine.safetensors', bytes }] });
      expect(page.of('opened')[0].networks).toMatch(/ndf 8.*mine.safetensors/);
      if (scale === 1) expect(page.of('victim')[0].trainAccuracy).toBeGreaterThan(0.99);
      await page.ask({ kind: 'measure', setting: { ...QUICK, draws: 1 } });
      accuracies.push(
        page
          .of('results')
          .at(-1)!
          .chosen.find(({ condition }) => condition.kind === 'none')!.accuracy.mean,
      );
    }
    expect(accuracies[1]).toBeLessThan(accuracies[0] / 2);
    expect(calls.count).toBe(before);
  });

  it('files that are not networks or know other people are refused, and the shipped networks return', async () => {
    const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
    for (const [name, bytes, message] of [
      ['notes.pth', new TextEncoder().encode('no checkpoint'), /notes\.pth: /],
      ['classifier.pth', fileOf('classifier.pth', fixtures), /victim|classifier/],
    ] as const) {
      await page.ask({ kind: 'open', url: URL_OF_PAGE, files: [{ name, bytes: Uint8Array.from(bytes) }] });
      expect(page.of('failed')).toHaveLength(1);
      expect(page.of('failed')[0].message).toMatch(message);
      expect(page.of('failed')[0].message).not.toMatch(/should not happen/);
    }
    await page.ask({ kind: 'open', url: URL_OF_PAGE });
    expect(page.of('opened')).toHaveLength(1);
  });
});

it('a lost device is reported, and the rows measured before are there when the engine runs again', async () => {
  const setting: Setting = { ...QUICK, seed: 11 };
  await page.ask({ kind: 'measure', setting });
  const before = page.of('results').at(-1)!.results.rows;
  page.gpu.device.destroy();
  await page.ask({ kind: 'measure', setting: { ...setting, rate: 2 ** -5 } });
  expect(page.of('lost')).toHaveLength(1);
  await page.ask({ kind: 'open', url: URL_OF_PAGE });
  await page.ask({ kind: 'measure', setting });
  expect(page.of('results').at(-1)!.results.rows).toEqual(before);
});
