/** `midas deep`: input and files around the experiment. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageDataset } from '../data/dataset.ts';
import { refuseSharedIdentities } from '../data/identities.ts';
import { readBytes } from '../data/node/files.ts';
import { importFaces } from '../data/node/import_faces.ts';
import { loadPack } from '../data/node/packs.ts';
import { augment, selectPeople } from '../data/people.ts';
import { ConfigError, DataError } from '../errors.ts';
import { type DeepInput, type DeepOutcome, deepAttackName, runDeep, SIDES } from '../experiments/deep.ts';
import {
  DEEP_PRESETS,
  type DeepConfig,
  type DeepPreset,
  deepPreset,
  parseDeepConfig,
} from '../experiments/deep_config.ts';
import { deepFaces, deepInput, TRAINED } from '../experiments/embedded.ts';
import { planDeep } from '../experiments/plan.ts';
import type { RobustTraining } from '../experiments/robust_training.ts';
import { voltageSeries } from '../experiments/voltage.ts';
import type { Gpu } from '../gpu/device.ts';
import { openNodeGpu } from '../gpu/node.ts';
import { perLayerPlot } from '../results/figures/per_layer.ts';
import { privacyCurve } from '../results/figures/privacy_curve.ts';
import { reconstructionSheet, type SheetRow } from '../results/figures/sheet.ts';
import { voltageFigure } from '../results/figures/voltage.ts';
import { type ReportFigure, reportHtml } from '../results/report.ts';
import {
  type Condition,
  calibratedOnly,
  calibratedTo,
  conditionKey,
  conditionLabel,
  type Manifest,
  RESULTS_SCHEMA,
  type Results,
  type SummaryEntry,
  summarise,
  toCsv,
} from '../results/results.ts';
import { type Answer, writeProfile } from './profile.ts';
import { RunFolder } from './run_folder.ts';
import type { Session } from './session.ts';

export interface DeepArguments {
  /** Folder of people or pack; the embedded faces by default. */
  readonly private?: string;
  /** The same, or `embedded`; by default the people of `private` that are not the victim's. */
  readonly public?: string;
  /** How many people of `private` are the victim's, in the order of their names; all by default. */
  readonly people?: number;
  /** Variations of every public photograph. */
  readonly augment: number;
  /** Go on though private and public people share names. */
  readonly allowShared: boolean;
  readonly preset: string;
  /** Folder with victim.safetensors and an inversion network for every attacker, to be used instead of training. */
  readonly pretrained?: string;
  readonly resume: boolean;
  /** Values that replace the preset's. */
  readonly overrides: Record<string, unknown>;
  readonly robust?: RobustTraining;
}

interface LoadedInput extends DeepInput {
  readonly splitName: string;
  readonly embedded: boolean;
}

/** A pack, or a folder with a folder a person. @throws DataError, ConfigError */
async function loadFaces(path: string, size: number): Promise<ImageDataset> {
  if (!existsSync(path)) throw new DataError(`${path}: no such file or folder; give a folder of people or a pack`);
  if (statSync(path).isFile()) return (await loadPack(path)).dataset;
  const layout = existsSync(join(path, 's1', '1.pgm')) ? 'attfaces' : 'folders';
  return (await importFaces(path, { layout, size })).dataset;
}

/** Every checkpoint in a folder, by its name. @throws DataError */
async function readNetworks(folder: string): Promise<Map<string, Uint8Array>> {
  if (!existsSync(folder)) throw new DataError(`${folder}: no such folder; give one with victim.safetensors in it`);
  const files = readdirSync(folder).filter((name) => name.endsWith('.safetensors'));
  const networks = files.sort().map(async (name) => [name, await readBytes(join(folder, name))] as const);
  return new Map(await Promise.all(networks));
}

async function load(gpu: Gpu, args: DeepArguments, size: number, seed: number): Promise<LoadedInput> {
  const all =
    args.private === undefined ? await deepFaces(gpu, 'private', size, seed) : await loadFaces(args.private, size);
  const count = args.people ?? all.classNames.length;
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const dataset = await selectPeople(all, range(0, count));
  let others: ImageDataset;
  if (args.public === 'embedded' || (args.public === undefined && args.private === undefined)) {
    others = await deepFaces(gpu, 'public', size, seed);
  } else if (args.public !== undefined) {
    others = await loadFaces(args.public, size);
  } else {
    if (count >= all.classNames.length) {
      throw new ConfigError(`--people ${count}: nobody is left to be public; give fewer, or --public`);
    }
    others = await selectPeople(all, range(count, all.classNames.length));
  }
  refuseSharedIdentities(dataset, others, args.allowShared);
  const publicFaces = await augment(others, args.augment, seed);
  return {
    ...deepInput(dataset, publicFaces, seed),
    splitName: `${Math.round(100 * TRAINED)} % of each person's photographs`,
    embedded: args.private === undefined,
    ...(args.pretrained !== undefined && { pretrained: await readNetworks(args.pretrained) }),
  };
}

/** Runs the experiment and writes every file of the contract; results.json last, so that its presence means finished. */
export async function deep(session: Session, args: DeepArguments, out = session.options.out): Promise<Answer> {
  const { options, progress } = session;
  const { seed } = options;
  if (!(DEEP_PRESETS as readonly string[]).includes(args.preset)) {
    throw new ConfigError(`--preset ${args.preset}: choose one of ${DEEP_PRESETS.join(', ')}`);
  }
  // Before a device is opened: a wrong configuration should not cost a second.
  const config = parseDeepConfig(
    withRobustVictim({ ...deepPreset(args.preset as DeepPreset, seed), ...args.overrides }, args.robust),
    'configuration',
  );
  RunFolder.refuseUnfinished(out, args.resume);
  const started = new Date();
  const before = performance.now();
  const gpu = await openNodeGpu({ adapter: options.adapter, profile: options.profile, tune: options.tune });
  session.opened(gpu);
  try {
    const input = await load(gpu, args, config.size, seed);
    const { dataset, publicFaces } = input;
    const images = { victim: input.split.train.length, inversion: publicFaces.labels.length };
    // Refused here, with the preset that would fit, rather than by the first buffer that does not.
    planDeep(config, dataset.classNames.length, gpu.device.limits, images);
    const identity = {
      config,
      dataset: dataset.sha256,
      publicFaces: publicFaces.sha256,
      split: [...input.split.test].join(),
      adapter: gpu.adapter.name,
    };
    const folder = await RunFolder.open(out, identity, args.resume);
    const outcome = await runDeep(gpu, input, config, folder, progress, session.signal);
    const manifest: Manifest = {
      version: session.version,
      command: session.command,
      config: { ...config, publicFaces: { name: publicFaces.name, sha256: publicFaces.sha256 } },
      seed,
      adapter: gpu.adapter.name,
      dataset: { name: dataset.name, sha256: dataset.sha256, split: input.splitName },
      started: started.toISOString(),
      seconds: Math.round((performance.now() - before) / 100) / 10,
    };
    const results: Results = {
      schema: RESULTS_SCHEMA,
      manifest,
      rows: [...outcome.rows],
      summary: summarise(outcome.rows, seed),
      baselines: outcome.baselines,
    };
    const profile = await writeProfile(gpu, folder);
    await writeFiles(folder, input, config, outcome, results);
    for (const plan of outcome.plans) session.say(plan);
    return { ...results, ...profile };
  } finally {
    await gpu.close();
  }
}

async function writeFiles(
  folder: RunFolder,
  input: LoadedInput,
  config: DeepConfig,
  outcome: DeepOutcome,
  results: Results,
): Promise<void> {
  // jsdom and resvg take a second to load: only now.
  const { createDocument, encodeGrayPng, svgToPng } = await import('./render.ts');
  const document = createDocument();
  const { summary, baselines } = results;
  const sheet = svgToPng(contactSheet(input, config, outcome, summary, encodeGrayPng), 1400);
  await folder.write('recon.png', sheet);
  const figures: ReportFigure[] = [];
  const add = async (name: string, caption: string, draw: () => string) => {
    const svg = draw();
    figures.push({ name, svg, caption });
    await folder.write(`${name}.svg`, svg);
    await folder.write(`${name}.png`, svgToPng(svg, 1400));
  };
  const attack = deepAttackName(config.attackers, config.attackers[0].name, 'held-out');
  if (summary.some(({ condition }) => condition.kind === 'bit-error')) {
    const { matched } = config.noise;
    const compared = summary.filter(({ condition: { kind, layers } }) => kind === 'none' || layers === matched);
    await add('curve', `Similarity of the reconstructions against accuracy (${matched}), with 95 % intervals.`, () =>
      privacyCurve({
        summary: calibratedOnly(compared),
        attack,
        baselines,
        title: `Inverting a classifier in approximate memory`,
        document,
      }),
    );
    if (new Set(config.sweeps.map(({ layers }) => layers)).size > 1) {
      await add('layers', 'Accuracy and similarity against the bit error rate, layer by layer.', () =>
        perLayerPlot({ summary, attack, title: `Which layer lies in approximate memory (${attack})`, document }),
      );
    }
  }
  const shown = SIDES.map((side) => deepAttackName(config.attackers, config.attackers[0].name, side));
  const voltages = voltageSeries(results).filter(({ name }) => shown.includes(name));
  if (voltages.length > 0) {
    await add(
      'voltage',
      'Accuracy, similarity and energy of weight reads over the supply voltage of measured DIMMs.',
      () =>
        voltageFigure({
          title: `Inversion of a classifier in undervolted DRAM (${input.dataset.name})`,
          series: voltages,
          chance: 1 / input.dataset.classNames.length,
          meanFacePcc: baselines.meanFacePcc,
          document,
        }),
    );
  }
  const caveats = [
    `The independent judges of identity know ${(100 * outcome.judgeAccuracy).toFixed(0)} % of the attacked photographs; an ` +
      'identity score of a reconstruction is to be read against that.',
    'Reconstructions of held-out images invert a prediction; only those of training images say what the model remembers.',
    `The attacker's networks were trained on the error-free victim (${(100 * outcome.trainAccuracy).toFixed(1)} % right on its ` +
      'training images).',
    ...(input.embedded ? ['The faces are procedural.'] : []),
  ];
  await folder.write('report.html', reportHtml({ results, figures, reconPng: sheet, caveats }));
  await folder.write('results.csv', toCsv(results.rows));
  await folder.write('results.json', `${JSON.stringify(results, null, 1)}\n`);
}

/** The layout of the published figure: truth, no defence, Gaussian, Laplacian, bit errors; here for both sides. */
function contactSheet(
  { dataset }: LoadedInput,
  config: DeepConfig,
  { pictures, shown }: DeepOutcome,
  summary: readonly SummaryEntry[],
  encodeGrayPng: (pixels: Uint8Array, width: number, height: number) => Uint8Array,
): string {
  const { width, height } = dataset;
  const pixels = width * height;
  const bitErrors = strongestUseful(summary, config);
  const wanted = (condition: Condition): boolean =>
    condition.kind === 'none' || (bitErrors !== undefined && isRival(condition, bitErrors));
  const order = ['none', 'gaussian', 'laplacian', 'bit-error'];
  const rows: SheetRow[] = [];
  for (const side of SIDES) {
    const attack = deepAttackName(config.attackers, config.attackers[0].name, side);
    rows.push({
      label: 'truth',
      detail: `${side} images`,
      images: shown[side].map((image) => dataset.images.subarray(image * pixels, (image + 1) * pixels)),
    });
    const chosen = pictures.filter((picture) => picture.attack === attack && wanted(picture.condition));
    chosen.sort((a, b) => order.indexOf(a.condition.kind) - order.indexOf(b.condition.kind));
    for (const picture of chosen) {
      const key = conditionKey(picture.condition);
      const entry = summary.find((each) => each.attack === attack && conditionKey(each.condition) === key);
      if (!entry) continue;
      const { accuracy, pcc, pccLift } = entry;
      rows.push({
        label: conditionLabel(picture.condition),
        detail:
          `${attack}\naccuracy ${accuracy.mean.toFixed(2)}, ` +
          `PCC ${pcc.mean.toFixed(2)}, lift ${pccLift.mean.toFixed(2)}`,
        images: [...picture.images],
      });
    }
  }
  return reconstructionSheet({
    columns: shown['held-out'].map((image) => dataset.classNames[dataset.labels[image]]),
    rows,
    width,
    height,
    title: 'Faces reconstructed from the predictions of a classifier',
    footnote: `${dataset.name}. First draw of each condition; numbers are means over all draws and people.`,
    encodeGrayPng,
  });
}

/** The strongest bit errors on the compared layers that leave at least nine tenths of the accuracy. */
function strongestUseful(summary: readonly SummaryEntry[], config: DeepConfig): SummaryEntry | undefined {
  const base = summary.find(({ condition }) => condition.kind === 'none');
  return summary
    .filter(({ condition: { kind, layers } }) => kind === 'bit-error' && layers === config.noise.matched)
    .filter(({ accuracy }) => base !== undefined && accuracy.mean >= 0.9 * base.accuracy.mean)
    .sort((a, b) => a.accuracy.mean - b.accuracy.mean)[0];
}

/** The bit errors themselves, or the noise on the same layers that was calibrated to their accuracy. */
function isRival(condition: Condition, bitErrors: SummaryEntry): boolean {
  const key = conditionKey(bitErrors.condition);
  if (conditionKey(condition) === key) return true;
  return calibratedTo(condition) === key && condition.layers === bitErrors.condition.layers;
}

/** Adds what training was asked to add to the victim's. */
function withRobustVictim(config: Record<string, unknown>, robust: RobustTraining = {}): Record<string, unknown> {
  const victim = config.victim as { training?: object } | undefined;
  return { ...config, victim: { ...victim, training: { ...victim?.training, ...robust } } };
}
