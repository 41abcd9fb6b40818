/** The options of the commands that run an experiment. Each changes one field of the configuration of a preset or a file. */

import { type Command, Option } from 'commander';
import * as v from 'valibot';
import { ATTACKS } from '../attacks/registry.ts';
import { RELEASE_DEFENCES, TRAINING_DEFENCES } from '../defences/registry.ts';
import { ConfigError } from '../errors.ts';
import {
  COLOURS,
  type Colours,
  DataConfig,
  EVALUATORS,
  type ExperimentConfig,
  type ExperimentInput,
  parseExperiment,
  VICTIM_KINDS,
  type VictimKind,
} from '../experiments/config.ts';
import { attacksOfKinds, changedTraining, PRESETS, type PresetName, presetInput } from '../experiments/presets.ts';
import { parseShard, type Shard, WHOLE } from '../experiments/shard.ts';
import { voltageMemories } from '../experiments/voltage.ts';
import type { ImageSizeInput } from '../image_size.ts';
import { GRANULARITIES, NOISE_KINDS, NUMBER_FORMAT_KINDS } from '../memory/config.ts';
import type { Vendor } from '../memory/undervolting.ts';
import { readConfig } from './config_file.ts';
import { type PrivateFiles, readPrivateFiles } from './experiment_data.ts';
import { readMemory } from './memory_file.ts';
import { choices, filePath, imageSize, layerSets, rateMap, rates, voltages, whole } from './option_values.ts';
import {
  fittingData,
  knownPeople,
  type Pretrained,
  type PretrainedShapes,
  readNetworks,
  shapesOf,
  victimKind,
  widenedAttacks,
  widenedVictim,
} from './pretrained.ts';
import type { CommonOptions } from './session.ts';

/** The parsed values of the options below. An option that the user did not give is absent. */
export interface ExperimentOptions extends CommonOptions {
  readonly preset?: string;
  readonly config?: string;
  readonly model?: VictimKind;
  readonly attack?: string[];
  readonly data?: string;
  readonly private?: string;
  readonly public?: string;
  readonly people?: number;
  readonly trained?: number;
  readonly augment?: number;
  readonly allowShared?: boolean;
  readonly split?: string;
  readonly size?: { width: number; height: number };
  readonly channels?: Colours;
  readonly classNames?: string;
  readonly pretrained?: string;
  readonly epochs?: number;
  readonly steps?: number;
  readonly evaluator?: string;
  readonly rates?: number[];
  readonly layers?: string[];
  readonly grid?: number[];
  readonly rateMap?: Record<string, number>[];
  readonly memory?: string[];
  readonly voltages?: { vendor: Vendor; volts: number[] };
  readonly noise?: string[];
  readonly draws?: number;
  readonly granularity?: string;
  readonly format?: string;
  readonly bits?: number;
  readonly headroom?: number;
  readonly faithful?: boolean;
  readonly resume?: boolean;
  readonly shard?: string;
  readonly maxMinutes?: number;
  readonly printConfig?: boolean;
}

/**
 * Adds the options that choose the data, victim and attacks of an experiment.
 * @param preset whose sizes --preset offers; absent if the command accepts any preset
 */
export function addTestbedOptions(command: Command, preset?: PresetName): Command {
  const kinds = ATTACKS.map(({ kind, description }) => `${kind}: ${description}`).join(' ');
  return command
    .addOption(sizeOption(preset))
    .option(
      '--config <file>',
      'JSON whose keys replace the preset’s, or the config.json or results.json of a run',
      filePath,
    )
    .addOption(new Option('--model <name>', 'kind of victim; default: the preset’s').choices(VICTIM_KINDS))
    .option(
      '--attack <kinds>',
      `attacks, separated by commas (the command attack takes one); default: the preset’s. ${kinds}`,
      choices(ATTACKS.map(({ kind }) => kind)),
    )
    .option('--data <dir>', 'the same as --private', filePath)
    .option(
      '--private <path>',
      'people of the victim: a folder with one folder per person, a pack, or `embedded` (procedural faces)',
      filePath,
    )
    .option(
      '--public <path>',
      'faces that the attacker has, or `embedded`; default: the people that --people leaves over',
      filePath,
    )
    .option(
      '--people <n>',
      'how many people of --private the victim knows, the first in the order of their names',
      whole,
    )
    .option('--augment <n>', 'number of random variations to add for every public photograph', whole)
    .option(
      '--trained <n>',
      'photographs of each person that the victim is trained on, chosen by the seed: a number, or a share below 1',
      Number,
    )
    .option('--allow-shared', 'continue even if private and public people share names')
    .option(
      '--split <file>',
      'JSON with train, test and classes; default: the published split of the AT&T faces',
      filePath,
    )
    .option('--size <WxH>', 'size of the images in pixels; one number for a square', imageSize)
    .addOption(
      new Option(
        '--channels <name>',
        'colours of the images of files; default: gray, or those of a pack. The victim yang takes gray images only',
      ).choices(COLOURS),
    )
    .option(
      '--class-names <file>',
      'names of all classes in their order, a JSON array or one per line; default: in the order of the names',
      filePath,
    )
    .option(
      '--pretrained <dir>',
      'folder with trained networks, of a run or of PyTorch; their widths and number of people are used',
      filePath,
    )
    .option('--epochs <n>', 'number of epochs of the victim’s training', whole)
    .option('--steps <n>', 'least number of its steps: few photographs are then trained on for more epochs', whole);
}

function sizeOption(preset: PresetName | undefined): Option {
  if (preset) return new Option('--preset <size>', `size (default: ${PRESETS[preset][0]})`).choices(PRESETS[preset]);
  return new Option('--preset <size>', 'size of the preset; the smallest by default');
}

/** Adds the options of the defences, from their registry. */
export function addDefenceOptions(command: Command): Command {
  for (const { flags } of TRAINING_DEFENCES) {
    for (const flag of flags) command.option(flag.flags, flag.description);
  }
  for (const { flag } of RELEASE_DEFENCES) command.option(flag.flags, flag.description);
  return command;
}

/** Adds the options of the memory, which choose the conditions to measure. */
export function addSweepOptions(command: Command): Command {
  return command
    .option('--rates <list>', 'bit error rates, such as 0.01,2^-6', rates)
    .option('--layers <list>', 'sets of layers in approximate memory, such as fc1,fc1+fc2,all', layerSets)
    .option('--grid <list>', 'bit error rates of the first two layers, measured in every combination', rates)
    .option('--rate-map <layer=rate,…>', 'one more condition with a rate per layer; may be repeated', rateMap)
    .option(
      '--memory <name>',
      'measure a memory from `midas memory list` or a JSON file instead of the sweep; may be repeated',
      (name: string, before: string[] = []) => [...before, name],
    )
    .option(
      '--voltages <vendor:list>',
      'sweep the supply voltage of measured DIMMs instead of the rates, such as C:1.35,1.25,1.15',
      voltages,
    )
    .option(
      '--noise <kinds>',
      `kinds of noise to compare bit errors with: ${NOISE_KINDS.join(',')}, or none`,
      (text) => (text === 'none' ? [] : choices(NOISE_KINDS)(text)),
    )
    .option('--draws <n>', 'samples of the faults per condition', whole)
    .addOption(
      new Option(
        '--evaluator <kind>',
        'judges of the reconstructions: linear alone, or convolutional too, which is trained first',
      ).choices(EVALUATORS),
    )
    .addOption(new Option('--granularity <name>', 'how often faults are drawn anew').choices(GRANULARITIES))
    .addOption(new Option('--format <name>', 'how weights are stored').choices(NUMBER_FORMAT_KINDS))
    .option('--bits <n>', 'bits of a stored fixed-point weight, 2..16', whole)
    .option('--headroom <n>', 'bits between the fixed-point format’s top bit and the weights', whole)
    .option('--faithful', 'fixed-point format as published, including its bugs');
}

const PROFILE = 'print tables of the time that kernels and host take in each phase; results are the same';
const NO_TUNE = 'do not measure first which kernels are fastest (2 s, once per adapter); results are the same';

/** Adds the options of how a run is carried out; no result depends on them. */
export function addRunOptions(command: Command): Command {
  return command
    .option('--print-config', 'print the whole configuration as JSON and run nothing')
    .option(
      '--resume',
      'continue the run in --out; only rates, draws and attacks that it does not have yet are measured',
    )
    .option('--shard <i/n>', 'measure only the i-th of n parts; midas merge combines them')
    .option('--max-minutes <n>', 'stop after <n> minutes, as Ctrl-C does; --resume continues the run', whole)
    .option('--profile', PROFILE)
    .option('--no-tune', NO_TUNE);
}

/** An experiment as the command line describes it. */
export interface Asked {
  readonly config: ExperimentConfig;
  readonly files: PrivateFiles | undefined;
  readonly pretrained?: Pretrained;
  readonly shard: Shard;
}

/**
 * Reads the configuration of an experiment: that of a preset, changed first by a file and then by flags.
 * @param presetName undefined if the file must be a whole configuration
 * @param base configuration to start from, instead of the preset's
 * @throws ConfigError, DataError
 */
export async function askedExperiment(
  presetName: PresetName | undefined,
  options: ExperimentOptions,
  base?: ExperimentInput,
): Promise<Asked> {
  const file = options.config === undefined ? {} : readConfig(options.config);
  if (presetName === undefined && !('victim' in file && 'attacks' in file)) {
    throw new ConfigError(
      `${options.config}: it does not have both victim and attacks; name a preset: run shallow --config FILE`,
    );
  }
  const name = presetName ?? 'deep';
  const seed = options.seed ?? (typeof file.seed === 'number' ? file.seed : 1);
  const pretrained = options.pretrained === undefined ? undefined : await readNetworks(options.pretrained);
  const shapes: PretrainedShapes = pretrained ? shapesOf(pretrained) : {};
  const victim = options.model ?? fileVictim(file) ?? victimKind(shapes);
  const size = options.preset as PresetOptionsSize;
  const first = base ?? presetInput(name, { size, victim });
  const before = (file.data as ExperimentInput['data'] | undefined) ?? fittingData(first.data, shapes);
  const asked = askedData(options, before, name);
  const parsedData = parseData(asked, options.config ?? 'configuration');
  const files = await readPrivateFiles(parsedData, seed);
  const data = knownPeople(asked, files, shapes);
  const images = files?.all ?? drawnSize(parsedData);
  const fitting = base ?? presetInput(name, { size, victim, images });
  const preset = { ...fitting, victim: widenedVictim(fitting.victim, shapes) };
  const { seed: _, ...fields } = file;
  const draft = { ...preset, ...fields, data, seed } as ExperimentInput;
  if (options.model !== undefined) draft.victim = preset.victim;
  await applyOptions(draft, name, preset, options, images);
  if (file.attacks === undefined) draft.attacks = widenedAttacks(draft.attacks, shapes);
  const config = parseExperiment(draft, options.config ?? 'configuration');
  const shard = options.shard === undefined ? WHOLE : parseShard(options.shard);
  return { config, files, ...(pretrained && { pretrained }), shard };
}

type PresetOptionsSize = Parameters<typeof presetInput>[1] extends infer O
  ? O extends { size?: infer S }
    ? S
    : never
  : never;

function fileVictim({ victim }: Record<string, unknown>): VictimKind | undefined {
  const kind = (victim as { kind?: unknown } | undefined)?.kind;
  return VICTIM_KINDS.find((each) => each === kind);
}

function parseData(data: unknown, where: string): DataConfig {
  const result = v.safeParse(DataConfig, data);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new ConfigError(`${[where, 'data', v.getDotPath(issue)].filter(Boolean).join('.')}: ${issue.message}`);
}

function drawnSize(data: DataConfig): { width: number; height: number } {
  if (data.kind === 'procedural') return data;
  const { size = 32 } = data;
  return typeof size === 'number' ? { width: size, height: size } : size;
}

/** The configuration of the faces, changed by the flags. @throws ConfigError for flags that exclude each other */
function askedData(
  options: ExperimentOptions,
  data: ExperimentInput['data'],
  preset: PresetName,
): ExperimentInput['data'] {
  const { people, trained, augment, allowShared, split, size, channels, classNames } = options;
  if (trained !== undefined && split !== undefined)
    throw new ConfigError('--trained and --split: give only one of them');
  if (options.data !== undefined && options.private !== undefined && options.data !== options.private) {
    throw new ConfigError('--data and --private: give only one of them');
  }
  const path = options.data ?? options.private;
  const fromFiles = path !== undefined || options.public !== undefined || data.kind === 'files';
  if (!fromFiles) {
    for (const [flag, value] of Object.entries({
      people,
      augment,
      'allow-shared': allowShared,
      split,
      channels,
      'class-names': classNames,
    })) {
      if (value !== undefined)
        throw new ConfigError(
          `--${flag} applies to photographs; give --private as well, or change data in a --config file`,
        );
    }
    return data.kind === 'procedural' ? { ...data, ...size, ...(trained !== undefined && { trained }) } : data;
  }
  const before = data.kind === 'files' ? data : { kind: 'files' as const, private: 'embedded' };
  // The networks of the deep preset need square images; those of the shallow preset take photographs of any shape.
  const asked = size?.width === size?.height ? size?.width : size;
  const shape = asked ?? (data.kind === 'procedural' && preset === 'deep' ? data.width : undefined);
  return {
    ...before,
    ...(path !== undefined && { private: path }),
    ...(options.public !== undefined && { public: options.public }),
    ...(people !== undefined && { people }),
    ...(trained !== undefined && { trained }),
    ...(augment !== undefined && { augment }),
    ...(allowShared && { allowShared }),
    ...(split !== undefined && { split }),
    ...(shape !== undefined && { size: shape }),
    ...(channels !== undefined && { channels }),
    ...(classNames !== undefined && { classNames }),
  };
}

/** Changes the fields of a draft to which flags apply. */
async function applyOptions(
  draft: ExperimentInput,
  name: PresetName,
  preset: ExperimentInput,
  options: ExperimentOptions,
  images: ImageSizeInput,
): Promise<void> {
  const { attack, epochs, steps, evaluator, draws, granularity, grid } = options;
  if (attack) draft.attacks = attacksOfKinds(attack, draft, images);
  const asked = { ...(epochs !== undefined && { epochs }), ...(steps !== undefined && { steps }) };
  draft.victim.training = changedTraining(draft.victim.training, asked);
  if (draws !== undefined) draft.draws = draws;
  const format = askedFormat(options);
  if (format) draft.format = format;
  await applyMemories(draft, name, options, format);
  if (evaluator !== undefined) draft.evaluator = evaluator as ExperimentInput['evaluator'];
  if (granularity !== undefined) draft.granularity = granularity as ExperimentInput['granularity'];
  applyRates(draft, preset, options);
  if (grid) draft.grid = grid;
  if (options.rateMap) draft.rateMaps = options.rateMap;
  if (options.noise) draft.noise = { ...draft.noise, kinds: options.noise as (typeof NOISE_KINDS)[number][] };
  applyDefences(draft, options as unknown as Record<string, unknown>, format);
}

/** Replaces the sweep over rates, and the noise that is compared with it, by the memories of the flags. */
async function applyMemories(
  draft: ExperimentInput,
  preset: PresetName,
  { memory = [], voltages: asked, granularity, format, bits, headroom, faithful }: ExperimentOptions,
  stored: ExperimentInput['format'],
): Promise<void> {
  if (memory.length === 0 && !asked) return;
  if (granularity !== undefined)
    throw new ConfigError('--granularity: a memory has a granularity of its own; copy it and change that');
  if (memory.length > 0 && !asked && [format, bits, headroom, faithful].some((each) => each !== undefined)) {
    throw new ConfigError('--format: a memory of --memory has a number format of its own; copy it and change that');
  }
  const memories: NonNullable<ExperimentInput['memories']> = asked
    ? voltageMemories(asked.vendor, asked.volts, stored ?? { kind: 'fixed' })
    : [];
  for (const name of memory) {
    const { input } = await readMemory(name);
    memories.push({ name, setting: name, memory: input } as (typeof memories)[number]);
  }
  // The shallow preset compares memories with the quantised model, whose quantised layers are those of the sweeps.
  const sweeps = preset === 'shallow' ? (draft.sweeps ?? []).map(({ layers }) => ({ layers, rates: [] })) : [];
  Object.assign(draft, { memories, sweeps, grid: [], rateMaps: [], noise: { kinds: [] } });
}

/** Applies `--rates` and `--layers`; each leaves what the other sets unchanged. */
function applyRates(
  draft: ExperimentInput,
  preset: ExperimentInput,
  { rates: asked, layers }: ExperimentOptions,
): void {
  if (!asked && !layers) return;
  const before = draft.sweeps?.length ? draft.sweeps : (preset.sweeps ?? []);
  const sets = layers ?? [...new Set(before.map((sweep) => sweep.layers))];
  draft.sweeps = sets.map((set) => ({
    layers: set,
    rates: asked ?? before.find((sweep) => sweep.layers === set)?.rates ?? before[0]?.rates ?? [],
  }));
  // The configured noise belongs to sets of layers that are no longer swept; every new set is compared with its own noise.
  if (layers && draft.noise) draft.noise = { kinds: draft.noise.kinds };
}

function applyDefences(
  draft: ExperimentInput,
  options: Record<string, unknown>,
  format: ExperimentInput['format'],
): void {
  const given = (flags: string) => options[new Option(flags).attributeName()] as string | undefined;
  for (const { name, flags } of TRAINING_DEFENCES) {
    let asked: unknown;
    for (const flag of flags) {
      const text = given(flag.flags);
      if (text !== undefined) asked = flag.read(text, asked);
    }
    if (asked === undefined) continue;
    // A defence that trains with a number format uses the one in which the weights will be stored.
    const own = typeof asked === 'object' && format ? { format, ...asked } : asked;
    draft.defences = { ...draft.defences, [name]: own };
  }
  for (const { flag } of RELEASE_DEFENCES) {
    const text = given(flag.flags);
    if (text !== undefined) draft.releases = [...(draft.releases ?? []), ...flag.read(text)] as typeof draft.releases;
  }
}

/** The number format of the flags; undefined if no flag names one. */
function askedFormat({ format, bits, headroom, faithful }: ExperimentOptions): ExperimentInput['format'] {
  if (format !== undefined && format !== 'fixed') {
    if (bits !== undefined || headroom !== undefined || faithful) {
      throw new ConfigError(`--format ${format}: --bits, --headroom and --faithful apply to fixed point only`);
    }
    // No similarity can be computed with NaN or infinity: the largest finite value replaces them.
    const kind = { kind: format, ...(format.startsWith('int') ? {} : { nonFinite: 'saturate' }) };
    return kind as ExperimentInput['format'];
  }
  if (format === undefined && bits === undefined && headroom === undefined && !faithful) return undefined;
  return {
    kind: 'fixed',
    ...(bits !== undefined && { bits }),
    ...(headroom !== undefined && { headroom }),
    ...(faithful && { encoding: 'faithful' as const, exponent: { layer: 'fc1' } }),
  };
}
