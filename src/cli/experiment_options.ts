/** The options of the commands that run an experiment: each changes one field of a preset's or a file's configuration. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import * as v from 'valibot';
import { ATTACKS } from '../attacks/registry.ts';
import { RELEASE_DEFENCES, TRAINING_DEFENCES } from '../defences/registry.ts';
import { ConfigError, DataError } from '../errors.ts';
import {
  DataConfig,
  type ExperimentConfig,
  type ExperimentInput,
  parseExperiment,
  VICTIM_KINDS,
  type VictimKind,
} from '../experiments/config.ts';
import { attacksOfKinds, PRESETS, type PresetName, presetInput } from '../experiments/presets.ts';
import { parseShard, type Shard, WHOLE } from '../experiments/shard.ts';
import { voltageMemories } from '../experiments/voltage.ts';
import { GRANULARITIES, NOISE_KINDS, NUMBER_FORMAT_KINDS } from '../memory/config.ts';
import { VENDORS, type Vendor } from '../memory/undervolting.ts';
import { type PrivateFiles, readPrivateFiles } from './experiment_data.ts';
import { readMemory } from './memory_file.ts';
import type { CommonOptions } from './session.ts';

export function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is needed.');
  return Number(text);
}

/** `0.01` or `2^-6`. */
function rate(text: string): number {
  const power = /^2\^(-?\d+)$/.exec(text.trim());
  return power ? 2 ** Number(power[1]) : text.trim() === '' ? Number.NaN : Number(text);
}

function rates(text: string): number[] {
  return text.split(',').map((part) => {
    const value = rate(part);
    if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError(`${part} is not a rate in 0..1.`);
    return value;
  });
}

/** `C:1.35,1.25`: the vendor of the DIMMs and volts. */
function voltages(text: string): { vendor: Vendor; volts: number[] } {
  const [vendor, list = ''] = text.split(':');
  const volts = list.split(',').map(Number);
  if (!(VENDORS as readonly string[]).includes(vendor) || !volts.every((each) => each > 0)) {
    throw new InvalidArgumentError(`give a vendor (${VENDORS.join(', ')}), a colon and volts.`);
  }
  return { vendor: vendor as Vendor, volts };
}

/** `fc1=0.01,fc2=2^-9` */
function rateMap(text: string, previous: Record<string, number>[] = []): Record<string, number>[] {
  const entries = text.split(',').map((part) => {
    const [layer, value] = part.split('=');
    const number = rate(value ?? '');
    if (!layer || !(number >= 0 && number <= 1)) throw new InvalidArgumentError(`"${part}" is not layer=rate.`);
    return [layer, number] as const;
  });
  return [...previous, Object.fromEntries(entries)];
}

const list = (text: string) => text.split(',').filter((part) => part !== '');

const choices =
  (allowed: readonly string[]) =>
  (text: string): string[] => {
    const wrong = list(text).find((part) => !allowed.includes(part));
    if (wrong !== undefined) throw new InvalidArgumentError(`"${wrong}" is not one of ${allowed.join(', ')}.`);
    return list(text);
  };

/** `64` or `56x64`: width and height. */
function imageSize(text: string): { width: number; height: number } {
  const [, width, height = width] = /^(\d+)(?:x(\d+))?$/.exec(text) ?? [];
  if (width === undefined) throw new InvalidArgumentError('give pixels, such as 64 or 56x64.');
  return { width: Number(width), height: Number(height) };
}

/** The parsed values of the options below; an option that the user did not give is absent. */
export interface ExperimentOptions extends CommonOptions {
  readonly preset?: string;
  readonly config?: string;
  readonly model?: VictimKind;
  readonly attack?: string[];
  readonly data?: string;
  readonly private?: string;
  readonly public?: string;
  readonly people?: number;
  readonly augment?: number;
  readonly allowShared?: boolean;
  readonly split?: string;
  readonly size?: { width: number; height: number };
  readonly pretrained?: string;
  readonly epochs?: number;
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

/** Options of which data, victim and attacks an experiment has. */
/** @param preset whose sizes can be chosen; several presets have sizes of their own */
export function addTestbedOptions(command: Command, preset?: PresetName): Command {
  const kinds = ATTACKS.map(({ kind, description }) => `${kind}: ${description}`).join(' ');
  return command
    .addOption(sizeOption(preset))
    .option('--config <file>', 'JSON whose keys replace the preset’s, or the config.json or results.json of a run')
    .addOption(new Option('--model <name>', 'kind of victim; default: the preset’s').choices(VICTIM_KINDS))
    .option(
      '--attack <kinds>',
      `attacks, with commas between (the command attack takes one); default: the preset’s. ${kinds}`,
      choices(ATTACKS.map(({ kind }) => kind)),
    )
    .option('--data <dir>', 'the same as --private')
    .option('--private <path>', 'people of the victim: a folder with one folder per person, a pack, or `embedded`')
    .option(
      '--public <path>',
      'faces that the attacker has, or `embedded`; default: the people that --people leaves over',
    )
    .option('--people <n>', 'how many people of --private are the victim’s, in the order of their names', whole)
    .option('--augment <n>', 'variations of every public photograph', whole)
    .option('--allow-shared', 'go on though private and public people share names')
    .option('--split <file>', 'JSON with train, test and classes; default: the published split of the AT&T faces')
    .option('--size <WxH>', 'size of the images; of files the side of a square', imageSize)
    .option('--pretrained <dir>', 'folder with the networks of a run (victim.safetensors, ...), instead of training')
    .option('--epochs <n>', 'epochs of the victim’s training', whole);
}

function sizeOption(preset: PresetName | undefined): Option {
  if (preset) return new Option('--preset <size>', `size (default: ${PRESETS[preset][0]})`).choices(PRESETS[preset]);
  return new Option('--preset <size>', 'size of the preset; the smallest by default');
}

/** Options of the defences, from their registry. */
export function addDefenceOptions(command: Command): Command {
  for (const { flags } of TRAINING_DEFENCES) {
    for (const flag of flags) command.option(flag.flags, flag.description);
  }
  for (const { flag } of RELEASE_DEFENCES) command.option(flag.flags, flag.description);
  return command;
}

/** Options of the memory: which conditions are measured. */
export function addSweepOptions(command: Command): Command {
  return command
    .option('--rates <list>', 'bit error rates, such as 0.01,2^-6', rates)
    .option('--layers <list>', 'sets of layers in approximate memory, such as fc1,fc1+fc2,all', list)
    .option('--grid <list>', 'bit error rates of the first two layers, crossed', rates)
    .option('--rate-map <layer=rate,…>', 'one more condition with a rate per layer; may be repeated', rateMap)
    .option(
      '--memory <name>',
      'a condition with a memory of `midas memory list` or a JSON file, in place of the sweep; may be repeated',
      (name: string, before: string[] = []) => [...before, name],
    )
    .option(
      '--voltages <vendor:list>',
      'a sweep over supply voltage on measured DIMMs, such as C:1.35,1.25,1.15',
      voltages,
    )
    .option('--noise <kinds>', `noise to compare with: ${NOISE_KINDS.join(',')}, or none`, (text) =>
      text === 'none' ? [] : choices(NOISE_KINDS)(text),
    )
    .option('--draws <n>', 'samples of the faults per condition', whole)
    .addOption(new Option('--granularity <name>', 'when faults are drawn').choices(GRANULARITIES))
    .addOption(new Option('--format <name>', 'how weights are stored').choices(NUMBER_FORMAT_KINDS))
    .option('--bits <n>', 'bits of a stored fixed-point weight, 2..16', whole)
    .option('--headroom <n>', 'bits between the fixed-point format’s top bit and the weights', whole)
    .option('--faithful', 'fixed point as published, including its bugs');
}

const PROFILE = 'tables of where the time goes, phase by phase: kernels and host; results stay the same';
const NO_TUNE = 'do not choose kernels by measuring them first (2 s, once for each adapter); results are the same';

/** Options of how a run is carried out; no result depends on them. */
export function addRunOptions(command: Command): Command {
  return command
    .option('--print-config', 'print the whole configuration as JSON and run nothing')
    .option('--resume', 'continue the run in --out; new rates, draws and attacks are measured, and nothing twice')
    .option('--shard <i/n>', 'measure the i-th of n parts, to be put together by midas merge')
    .option('--max-minutes <n>', 'stop after so many minutes as an interrupt does; --resume continues', whole)
    .option('--profile', PROFILE)
    .option('--no-tune', NO_TUNE);
}

/** An experiment as the command line asks for it. */
export interface Asked {
  readonly config: ExperimentConfig;
  readonly files: PrivateFiles | undefined;
  readonly pretrained?: string;
  readonly shard: Shard;
}

/**
 * The configuration of a preset, with what a file replaces of it, and then what flags say.
 * @param presetName undefined where the file must be whole
 * @throws ConfigError, DataError
 */
export async function askedExperiment(
  presetName: PresetName | undefined,
  options: ExperimentOptions,
  base?: ExperimentInput,
): Promise<Asked> {
  const file = options.config === undefined ? {} : readConfig(options.config);
  if (presetName === undefined && !('victim' in file && 'attacks' in file)) {
    throw new ConfigError(`${options.config}: it has no victim and attacks; name a preset: run shallow --config FILE`);
  }
  const name = presetName ?? 'deep';
  const seed = options.seed ?? (typeof file.seed === 'number' ? file.seed : 1);
  const victim = options.model ?? fileVictim(file);
  const size = options.preset as PresetOptionsSize;
  const first = base ?? presetInput(name, { size, victim });
  const data = askedData(options, (file.data ?? first.data) as ExperimentInput['data'], name);
  const parsedData = parseData(data, options.config ?? 'configuration');
  const files = await readPrivateFiles(parsedData, seed);
  const images = files ? { width: files.all.width, height: files.all.height } : drawnSize(parsedData);
  const preset = base ?? presetInput(name, { size, victim, images });
  const { seed: _, ...fields } = file;
  const draft = { ...preset, ...fields, data, seed } as ExperimentInput;
  if (options.model !== undefined) draft.victim = preset.victim;
  await applyOptions(draft, name, preset, options, images);
  const config = parseExperiment(draft, options.config ?? 'configuration');
  const shard = options.shard === undefined ? WHOLE : parseShard(options.shard);
  return { config, files, pretrained: options.pretrained, shard };
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
  return { width: data.size ?? 32, height: data.size ?? 32 };
}

/** The configuration of the faces from the flags. @throws ConfigError for flags that do not go together */
function askedData(
  options: ExperimentOptions,
  data: ExperimentInput['data'],
  preset: PresetName,
): ExperimentInput['data'] {
  const { people, augment, allowShared, split, size } = options;
  if (options.data !== undefined && options.private !== undefined && options.data !== options.private) {
    throw new ConfigError('--data and --private: give one of them');
  }
  const path = options.data ?? options.private;
  const fromFiles = path !== undefined || options.public !== undefined || data.kind === 'files';
  if (!fromFiles) {
    for (const [flag, value] of Object.entries({ people, augment, 'allow-shared': allowShared, split })) {
      if (value !== undefined)
        throw new ConfigError(
          `--${flag} applies to photographs; give --private too, or change data in a --config file`,
        );
    }
    return size && data.kind === 'procedural' ? { ...data, ...size } : data;
  }
  if (size && size.width !== size.height)
    throw new ConfigError('--size: photographs are cropped to squares; give one number');
  const before = data.kind === 'files' ? data : { kind: 'files' as const, private: 'embedded' };
  // The deep preset's networks take squares; the shallow one's take photographs as they are.
  const side = size?.width ?? (data.kind === 'procedural' && preset === 'deep' ? data.width : undefined);
  return {
    ...before,
    ...(path !== undefined && { private: path }),
    ...(options.public !== undefined && { public: options.public }),
    ...(people !== undefined && { people }),
    ...(augment !== undefined && { augment }),
    ...(allowShared && { allowShared }),
    ...(split !== undefined && { split }),
    ...(side !== undefined && { size: side }),
  };
}

/** Changes the fields of a draft that flags name. */
async function applyOptions(
  draft: ExperimentInput,
  name: PresetName,
  preset: ExperimentInput,
  options: ExperimentOptions,
  images: { readonly width: number; readonly height: number },
): Promise<void> {
  const { attack, epochs, draws, granularity, grid } = options;
  if (attack) draft.attacks = attacksOfKinds(attack, draft, images);
  if (epochs !== undefined) draft.victim.training = { ...draft.victim.training, epochs };
  if (draws !== undefined) draft.draws = draws;
  const format = askedFormat(options);
  if (format) draft.format = format;
  await applyMemories(draft, name, options, format);
  if (granularity !== undefined) draft.granularity = granularity as ExperimentInput['granularity'];
  applyRates(draft, preset, options);
  if (grid) draft.grid = grid;
  if (options.rateMap) draft.rateMaps = options.rateMap;
  if (options.noise) draft.noise = { ...draft.noise, kinds: options.noise as (typeof NOISE_KINDS)[number][] };
  applyDefences(draft, options as unknown as Record<string, unknown>, format);
}

/** Memories that were asked for stand in place of the sweep over rates, and of the noise that is compared with it. */
async function applyMemories(
  draft: ExperimentInput,
  preset: PresetName,
  { memory = [], voltages: asked, granularity, format, bits, headroom, faithful }: ExperimentOptions,
  stored: ExperimentInput['format'],
): Promise<void> {
  if (memory.length === 0 && !asked) return;
  if (granularity !== undefined) throw new ConfigError('--granularity: a memory says itself when its faults are drawn');
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
  // The shallow preset compares memories with the quantised model of the layers that it sweeps.
  const sweeps = preset === 'shallow' ? (draft.sweeps ?? []).map(({ layers }) => ({ layers, rates: [] })) : [];
  Object.assign(draft, { memories, sweeps, grid: [], rateMaps: [], noise: { kinds: [] } });
}

/** `--rates` and `--layers`: each keeps the other as it was. */
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
  // Noise was to be compared with sets that are not swept any more: each set is compared with its own.
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
    // What trains with a number format trains with the one that the weights will have.
    const own = typeof asked === 'object' && format ? { format, ...asked } : asked;
    draft.defences = { ...draft.defences, [name]: own };
  }
  for (const { flag } of RELEASE_DEFENCES) {
    const text = given(flag.flags);
    if (text !== undefined) draft.releases = [...(draft.releases ?? []), ...flag.read(text)] as typeof draft.releases;
  }
}

/** The format that was asked for, if any was. */
function askedFormat({ format, bits, headroom, faithful }: ExperimentOptions): ExperimentInput['format'] {
  if (format !== undefined && format !== 'fixed') {
    if (bits !== undefined || headroom !== undefined || faithful) {
      throw new ConfigError(`--format ${format}: --bits, --headroom and --faithful are of fixed point`);
    }
    // What is not a number has no similarity: the largest finite value stands for it.
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

/** Keys of a configuration: of a file of them, of a run folder, its config.json or its results.json. */
function readConfig(path: string): Record<string, unknown> {
  const file = existsSync(join(path, 'config.json')) ? join(path, 'config.json') : path;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    throw new DataError(
      `${path}: cannot be read; give a preset (${Object.keys(PRESETS).join(', ')}), a JSON file or a run's folder`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${path}: ${(error as Error).message}`);
  }
  const record = (value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  const top = record(json);
  if (!top) throw new ConfigError(`${path}: it holds no configuration; give a JSON object`);
  return record(record(top.manifest)?.config) ?? record(top.config) ?? top;
}
