/** `midas shallow` and `midas demo`: input and files around the experiment. */
import { join } from 'node:path';
import { type ImageDataset, meanImage, type Split } from '../data/dataset.ts';
import { loadAttFaces } from '../data/node/attfaces.ts';
import { ConfigError } from '../errors.ts';
import { embeddedShallowInput } from '../experiments/embedded.ts';
import type { RobustTraining } from '../experiments/robust_training.ts';
import { attackName, runShallow, type ShallowInput, type ShallowOutcome } from '../experiments/shallow.ts';
import { type Preset, parseShallowConfig, type ShallowConfig, shallowPreset } from '../experiments/shallow_config.ts';
import { voltageSeries } from '../experiments/voltage.ts';
import type { Gpu } from '../gpu/device.ts';
import { openNodeGpu } from '../gpu/node.ts';
import { MODEL_KINDS, type ModelKind } from '../models/specs.ts';
import { berHeatmap } from '../results/figures/ber_heatmap.ts';
import { perLayerPlot } from '../results/figures/per_layer.ts';
import { privacyCurve } from '../results/figures/privacy_curve.ts';
import { levelled, reconstructionSheet, type SheetRow } from '../results/figures/sheet.ts';
import { voltageFigure } from '../results/figures/voltage.ts';
import { headlines, type ReportFigure, reportHtml } from '../results/report.ts';
import {
  type Condition,
  conditionKey,
  conditionLabel,
  type Manifest,
  matchedTo,
  RESULTS_SCHEMA,
  type Results,
  summarise,
  toCsv,
} from '../results/results.ts';
import { type Answer, profileLines, writeProfile } from './profile.ts';
import { RunFolder } from './run_folder.ts';
import type { Session } from './session.ts';

export interface ShallowArguments {
  readonly data?: string;
  readonly split?: string;
  readonly model: string;
  readonly preset: string;
  readonly resume: boolean;
  readonly epochs?: number;
  readonly robust?: RobustTraining;
  /** Values that replace the preset's, from options or a configuration file. */
  readonly overrides: Record<string, unknown>;
  /** Size of the embedded faces. */
  readonly width: number;
  readonly height: number;
}

interface LoadedInput extends ShallowInput {
  readonly dataset: ImageDataset;
  readonly split: Split;
  readonly splitName: string;
  readonly embedded: boolean;
}

async function embeddedFaces(gpu: Gpu, { width, height }: ShallowArguments, seed: number): Promise<LoadedInput> {
  const input = await embeddedShallowInput(gpu, width, height, seed);
  return { ...input, splitName: '7 of 10 photographs a person', embedded: true };
}

async function attFaces(dir: string, splitFile: string | undefined, seed: number): Promise<LoadedInput> {
  const { dataset, split, splitName } = await loadAttFaces(dir, splitFile, seed);
  return { dataset, split, splitName, meanFace: meanImage(dataset, split.train), embedded: false };
}

/** Runs the experiment and writes every file of the contract; results.json last, so that its presence means finished. */
export async function shallow(session: Session, args: ShallowArguments): Promise<Answer> {
  const { options, progress } = session;
  const { seed } = options;
  if (!(MODEL_KINDS as readonly string[]).includes(args.model)) {
    throw new ConfigError(`--model ${args.model}: choose one of ${MODEL_KINDS.join(', ')}`);
  }
  if (args.preset !== 'quick' && args.preset !== 'full') {
    throw new ConfigError(`--preset ${args.preset}: choose quick or full`);
  }
  // Before a device is opened: a wrong folder should not cost a second.
  RunFolder.refuseUnfinished(options.out, args.resume);
  const read = args.data === undefined ? undefined : await attFaces(args.data, args.split, seed);
  const started = new Date();
  const before = performance.now();
  const gpu = await openNodeGpu({ adapter: options.adapter, profile: options.profile, tune: options.tune });
  session.opened(gpu);
  try {
    const input = read ?? (await embeddedFaces(gpu, args, seed));
    const { dataset } = input;
    const preset = shallowPreset(
      args.preset as Preset,
      args.model as ModelKind,
      dataset.width * dataset.height,
      seed,
    ) as Record<string, unknown>;
    const epochs = args.epochs !== undefined && { epochs: args.epochs };
    const given = { ...preset, ...args.overrides };
    const training = { ...(given.training as object), ...epochs, ...args.robust };
    const config = parseShallowConfig({ ...given, training }, 'configuration');
    const identity = {
      config,
      dataset: dataset.sha256,
      split: [...input.split.test].join(),
      adapter: gpu.adapter.name,
    };
    const folder = await RunFolder.open(options.out, identity, args.resume);
    const outcome = await runShallow(gpu, input, config, folder, progress, session.signal);
    const manifest: Manifest = {
      version: session.version,
      command: session.command,
      config: config as unknown as Record<string, unknown>,
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
  config: ShallowConfig,
  outcome: ShallowOutcome,
  results: Results,
): Promise<void> {
  // jsdom and resvg take a second to load: only now.
  const { createDocument, encodeGrayPng, svgToPng } = await import('./render.ts');
  const document = createDocument();
  const { summary, baselines } = results;
  const sheet = svgToPng(contactSheet(input, config, outcome, results, encodeGrayPng), 1400);
  await folder.write('recon.png', sheet);
  const figures: ReportFigure[] = [];
  const add = async (name: string, caption: string, draw: () => string) => {
    const svg = draw();
    figures.push({ name, svg, caption });
    await folder.write(`${name}.svg`, svg);
    await folder.write(`${name}.png`, svgToPng(svg, 1400));
  };
  const title = `MI-Face against an ${config.model.toUpperCase()} in approximate memory (${input.dataset.name})`;
  if (summary.some(({ condition }) => condition.kind === 'bit-error')) {
    await add('curve', 'Similarity of the reconstructions against accuracy, with 95 % intervals.', () =>
      privacyCurve({ summary, baselines, title, document }),
    );
    const attack = attackName(config.attacks[0]);
    if (config.rates.length > 1) {
      await add('layers', 'Accuracy and similarity against the bit error rate, layer by layer.', () =>
        perLayerPlot({ summary, attack, title: `Which layer lies in approximate memory (${attack})`, document }),
      );
    }
    if (config.grid.length > 0) {
      await add('grid', 'Bit error rates of the two layers, crossed.', () =>
        berHeatmap({ summary, attack, layers: ['fc1', 'fc2'], title: `Both layers (${attack})`, document }),
      );
    }
  }
  const voltages = voltageSeries(results);
  if (voltages.length > 0) {
    await add(
      'voltage',
      'Accuracy, similarity and energy of weight reads over the supply voltage of measured DIMMs.',
      () =>
        voltageFigure({
          title,
          series: voltages,
          chance: 1 / input.dataset.classNames.length,
          meanFacePcc: baselines.meanFacePcc,
          document,
        }),
    );
  }
  const caveats = [
    `The independent judge of identity knows ${(100 * outcome.judgeAccuracy).toFixed(0)} % of the victim's training ` +
      'photographs; an identity score of a reconstruction is to be read against that.',
    input.embedded
      ? 'The faces are procedural; the mean face that attacks start from is that of the public population.'
      : 'The mean face that attacks start from is that of the training photographs: the attacker is given it.',
  ];
  await folder.write('report.html', reportHtml({ results, figures, reconPng: sheet, caveats }));
  await folder.write('results.csv', toCsv(results.rows));
  await folder.write('results.json', `${JSON.stringify(results, null, 1)}\n`);
}

/** Truth on top, then a row a condition: the undefended model, the strongest errors, the noise matched to them. */
function contactSheet(
  input: LoadedInput,
  config: ShallowConfig,
  { pictures }: ShallowOutcome,
  { summary }: Results,
  encodeGrayPng: (pixels: Uint8Array, width: number, height: number) => Uint8Array,
): string {
  const { dataset, split } = input;
  const { width, height } = dataset;
  const pixels = width * height;
  const classes = config.classes ?? [...Array(dataset.classNames.length).keys()];
  const shown = classes.slice(0, 8).map((_, i) => i);
  const firstPhotograph = (target: number) => split.train.find((image) => dataset.labels[image] === target) ?? 0;
  const rows: SheetRow[] = [
    {
      label: 'truth',
      detail: 'a training photograph',
      images: shown.map((i) => {
        const image = firstPhotograph(classes[i]);
        return dataset.images.subarray(image * pixels, (image + 1) * pixels);
      }),
    },
  ];
  const strongest = config.rates[config.rates.length - 1];
  const wanted = (condition: Condition): boolean => {
    const { kind, rates } = condition;
    const values = Object.values(rates);
    if (kind === 'none' || kind === 'quantised' || kind === 'memory') return true;
    if (kind === 'bit-error') {
      return values.every((rate) => config.rates.includes(rate) && (rate === strongest || rate === strongest / 4));
    }
    const matched = summary.find((entry) => conditionKey(entry.condition) === matchedTo(condition));
    return matched !== undefined && Object.values(matched.condition.rates).every((rate) => rate === strongest);
  };
  for (const attack of config.attacks.map(attackName)) {
    for (const picture of pictures) {
      if (picture.attack !== attack || !wanted(picture.condition)) continue;
      const key = conditionKey(picture.condition);
      const entry = summary.find(
        (candidate) => candidate.attack === attack && conditionKey(candidate.condition) === key,
      );
      if (!entry) continue;
      const { accuracy, pcc, pccLift } = entry;
      rows.push({
        label: conditionLabel(picture.condition),
        detail:
          `${attack}\naccuracy ${accuracy.mean.toFixed(2)}, ` +
          `PCC ${pcc.mean.toFixed(2)}, lift ${pccLift.mean.toFixed(2)}`,
        images: shown.map((i) => levelled(picture.images[i], input.meanFace)),
      });
    }
  }
  return reconstructionSheet({
    columns: shown.map((i) => dataset.classNames[classes[i]]),
    rows,
    width,
    height,
    title: `Faces reconstructed from an ${config.model.toUpperCase()} classifier`,
    footnote:
      `${dataset.name}. First draw of each condition; numbers are means over all draws and people. Brightness and ` +
      'contrast of every reconstruction are set to those of the mean face, which no PCC sees.',
    encodeGrayPng,
  });
}

/** What the terminal says at the end. */
export function summaryLines(results: Answer, out: string): string[] {
  return [...headlines(results), `report: ${join(out, 'report.html')}`, ...profileLines(results.profile ?? [])];
}
