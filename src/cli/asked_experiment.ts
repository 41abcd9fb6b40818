/** The experiment that the options of a command ask for: the configuration of a preset, changed by a file and by flags. */
import { Option } from 'commander';
import * as v from 'valibot';
import { RELEASE_DEFENCES, TRAINING_DEFENCES } from '../defences/registry.ts';
import { ConfigError } from '../errors.ts';
import { activationMemories } from '../experiments/activation_memories.ts';
import {
  DataConfig,
  type ExperimentConfig,
  type ExperimentInput,
  parseExperiment,
  VICTIM_KINDS,
  type VictimKind,
} from '../experiments/config.ts';
import { VICTIM_FILE } from '../experiments/networks.ts';
import { attacksOfKinds, changedTraining, type PresetName, presetInput } from '../experiments/presets.ts';
import { parseShard, type Shard, WHOLE } from '../experiments/shard.ts';
import { victimKind, widenedVictim } from '../experiments/trained_victim.ts';
import { latencyMemories, measuredVoltageMemories } from '../experiments/voltage.ts';
import type { ImageSizeInput } from '../image_size.ts';
import type { NOISE_KINDS } from '../memory/config.ts';
import { type NetworkDescription, parseNetwork } from '../models/network_description.ts';
import { listed } from '../printable.ts';
import { schemaMessage } from '../schema_message.ts';
import { readConfig } from './config_file.ts';
import { type PrivateFiles, readPrivateFiles } from './experiment_data.ts';
import type { ExperimentOptions } from './experiment_options.ts';
import { readMemory } from './memory_file.ts';
import {
  fittingData,
  fittingFiles,
  knownPeople,
  type Pretrained,
  type PretrainedShapes,
  readNetworks,
  shapesOf,
  widenedAttacks,
} from './pretrained.ts';
import { readVictim, type VictimFile } from './victim_file.ts';

/** An experiment as the command line describes it. */
export interface Asked {
  readonly config: ExperimentConfig;
  readonly files: PrivateFiles | undefined;
  readonly pretrained?: Pretrained;
  readonly shard: Shard;
  /** What a user should know about the victim's file, in whole sentences. */
  readonly notes: readonly string[];
}

const NO_FILE: ReturnType<typeof readConfig> = { fields: {}, networks: [] };

/**
 * Reads the configuration of an experiment: that of a preset, changed first by a file and then by flags.
 * @param presetName undefined if the file must be a whole configuration, or --victim gives the victim
 * @param given.base configuration to start from, instead of the preset's
 * @param given.planned true if nothing is measured, so that a trained victim needs no images
 * @throws ConfigError, DataError
 */
export async function askedExperiment(
  presetName: PresetName | undefined,
  options: ExperimentOptions,
  { base, planned = false }: { readonly base?: ExperimentInput; readonly planned?: boolean } = {},
): Promise<Asked> {
  const { fields: file, networks } = options.config === undefined ? NO_FILE : readConfig(options.config);
  const isWhole = 'victim' in file && 'attacks' in file;
  if (presetName === undefined && !isWhole && options.victim === undefined) {
    const missing = ['victim', 'attacks'].filter((field) => !(field in file)).join(' and no ');
    throw new ConfigError(
      `${options.config}: it has no ${missing}; give --victim FILE, or name a preset: run shallow --config FILE`,
    );
  }
  // The option --victim alone asks for the shallow preset; a file changes its fields.
  const name = presetName ?? (isWhole ? 'deep' : 'shallow');
  const seed = options.seed ?? (typeof file.seed === 'number' ? file.seed : 1);
  const folder = options.pretrained === undefined ? undefined : await readNetworks(options.pretrained);
  const given = options.victim === undefined ? undefined : await readVictim(options.victim, options.network);
  if (options.network !== undefined && !given) {
    throw new ConfigError(
      `--network ${options.network}: give its parameters too, with --victim; an untrained network is a --victim itself`,
    );
  }
  if (given && options.model !== undefined) throw new ConfigError('--victim and --model: give only one of them');
  const trained = given?.checkpoint && new Map([...(folder ?? []), [VICTIM_FILE, given.checkpoint]]);
  const pretrained = trained ?? folder;
  if (networks.length > 0 && !pretrained) {
    throw new ConfigError(
      `${options.config}: this run was given its networks (${listed(networks, 60)}), which it does not contain; give them again, with ` +
        '--victim FILE or --pretrained FOLDER',
    );
  }
  const shapes: PretrainedShapes = {
    ...(pretrained && shapesOf(pretrained)),
    ...(given && { victim: given.description }),
  };
  const victim = options.model ?? (given ? undefined : fileVictim(file)) ?? victimKind(shapes.victim);
  const size = options.preset as PresetOptionsSize;
  const first = base ?? presetInput(name, { size, victim });
  const before = (file.data as ExperimentInput['data'] | undefined) ?? fittingData(first.data, shapes);
  const asked = fittingFiles(askedData(options, before, name), shapes);
  const parsedData = parseData(asked, options.config ?? 'configuration');
  const names = typeof victim === 'object' ? victim.classNames : undefined;
  const files = await readPrivateFiles(parsedData, seed, names && { names, where: options.victim ?? 'the network' });
  const data = knownPeople(asked, files, shapes);
  if (given?.checkpoint && options.victim !== undefined)
    checkTrained(options, given, planned || file.data !== undefined);
  const images = files?.all ?? drawnSize(parsedData);
  const fitting = base ?? presetInput(name, { size, victim, images });
  const preset = { ...fitting, victim: widenedVictim(fitting.victim, shapes.victim) };
  const { seed: _, ...fields } = file;
  const draft = { ...preset, ...fields, data, seed } as ExperimentInput;
  if (options.model !== undefined || given) draft.victim = preset.victim;
  await applyOptions(draft, name, preset, options, images);
  if (file.attacks === undefined) draft.attacks = widenedAttacks(draft.attacks, shapes);
  const config = parseExperiment(draft, options.config ?? 'configuration');
  const shard = options.shard === undefined ? WHOLE : parseShard(options.shard);
  const notes = [...(given?.notes ?? []), ...resizingNotes(given, config), ...trainingNotes(options)];
  return { config, files, notes, ...(pretrained && { pretrained }), shard };
}

/** How images become those that a trained network takes, which may differ from how its own training made them. */
function resizingNotes(given: VictimFile | undefined, { data }: ExperimentConfig): string[] {
  if (given?.checkpoint === undefined || given.description.kind !== 'network' || data.kind !== 'files') return [];
  const { width, height } = given.description.input;
  const part = width === height ? 'the centre square' : `the centre in this shape`;
  return [
    `images of another size than ${width}x${height} are cropped to ${part} and resized (bilinear, antialiased); if the network ` +
      'was trained on images that were made otherwise, prepare them in its way',
  ];
}

/** What two options of the training mean together. */
function trainingNotes({ epochs, steps }: ExperimentOptions): string[] {
  if (epochs === undefined || steps === undefined) return [];
  return [
    `--epochs ${epochs} and --steps ${steps}: training goes on until both are reached, so few images take more than ${epochs} epochs`,
  ];
}

type PresetOptionsSize = Parameters<typeof presetInput>[1] extends infer O
  ? O extends { size?: infer S }
    ? S
    : never
  : never;

/** @throws ConfigError for a trained network without images, or with options that train it */
function checkTrained(options: ExperimentOptions, { description }: VictimFile, hasImages: boolean): void {
  const { victim, data, private: own, epochs, steps } = options;
  if (description.kind === 'network' && !hasImages && (data ?? own) === undefined) {
    throw new ConfigError(`${victim}: give the images that it classifies: --data FOLDER, with one folder per class`);
  }
  if (epochs !== undefined || steps !== undefined) {
    throw new ConfigError(
      `${victim}: this network is trained already; leave out ${epochs !== undefined ? '--epochs' : '--steps'}`,
    );
  }
}

function fileVictim({ victim }: Record<string, unknown>): VictimKind | NetworkDescription | undefined {
  const { kind, network } = (victim ?? {}) as { kind?: unknown; network?: unknown };
  if (kind === 'network') return parseNetwork(network, 'victim.network');
  return VICTIM_KINDS.find((each) => each === kind);
}

function parseData(data: unknown, where: string): DataConfig {
  const result = v.safeParse(DataConfig, data);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = [where, 'data', v.getDotPath(issue)].filter(Boolean).join('.');
  throw new ConfigError(`${place}: ${schemaMessage(DataConfig, issue)}`);
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
  if (options.planes) draft.planes = true;
  if (options.rateMap) draft.rateMaps = options.rateMap;
  if (options.noise) draft.noise = { ...draft.noise, kinds: options.noise as (typeof NOISE_KINDS)[number][] };
  applyDefences(draft, options as unknown as Record<string, unknown>, format);
}

/** Replaces the sweep over rates, and the noise that is compared with it, by the memories of the flags. */
async function applyMemories(
  draft: ExperimentInput,
  preset: PresetName,
  options: ExperimentOptions,
  stored: ExperimentInput['format'],
): Promise<void> {
  const {
    memory = [],
    voltages,
    badBits,
    latency,
    dimm,
    activationRates,
    granularity,
    format,
    bits,
    headroom,
  } = options;
  const { representation, faithful } = options;
  if (badBits && !voltages) throw new ConfigError('--bad-bits: give --voltages too; only they have bad rows and lines');
  if (dimm !== undefined && !latency) {
    throw new ConfigError('--dimm: give --latency too; --voltages names a DIMM itself, such as C1:1.25');
  }
  const asked = voltages ?? latency ?? activationRates;
  if (memory.length === 0 && !asked) return;
  if (granularity !== undefined)
    throw new ConfigError('--granularity: a memory has a granularity of its own; copy it and change that');
  if (
    memory.length > 0 &&
    !asked &&
    [format, bits, headroom, representation, faithful].some((each) => each !== undefined)
  ) {
    throw new ConfigError('--format: a memory of --memory has a number format of its own; copy it and change that');
  }
  const memories: NonNullable<ExperimentInput['memories']> = [
    ...(voltages ? measuredVoltageMemories(voltages, stored, badBits) : []),
    ...(latency ? latencyMemories({ ...latency, dimm }, stored) : []),
    ...(activationRates ? activationMemories(activationRates, stored) : []),
  ];
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
  for (const { name, flags, hasFormat } of TRAINING_DEFENCES) {
    let asked: unknown;
    for (const flag of flags) {
      const text = given(flag.flags);
      if (text !== undefined) asked = flag.read(text, asked);
    }
    if (asked === undefined) continue;
    const own = hasFormat && format ? { format, ...(asked as object) } : asked;
    draft.defences = { ...draft.defences, [name]: own };
  }
  for (const { flag } of RELEASE_DEFENCES) {
    const text = given(flag.flags);
    if (text !== undefined) draft.releases = [...(draft.releases ?? []), ...flag.read(text)] as typeof draft.releases;
  }
}

/** The number format of the flags; undefined if no flag names one. */
function askedFormat({
  format,
  bits,
  headroom,
  representation,
  faithful,
}: ExperimentOptions): ExperimentInput['format'] {
  if (format !== undefined && format !== 'fixed') {
    if (bits !== undefined || headroom !== undefined || representation !== undefined || faithful) {
      throw new ConfigError(
        `--format ${format}: --bits, --headroom, --representation and --faithful apply to fixed point only`,
      );
    }
    // No similarity can be computed with NaN or infinity: the largest finite value replaces them.
    const kind = { kind: format, ...(format.startsWith('int') ? {} : { nonFinite: 'saturate' }) };
    return kind as ExperimentInput['format'];
  }
  const asked = [format, bits, headroom, representation].some((each) => each !== undefined);
  if (!asked && !faithful) return undefined;
  return {
    kind: 'fixed',
    ...(bits !== undefined && { bits }),
    ...(headroom !== undefined && { headroom }),
    ...(representation !== undefined && { representation }),
    ...(faithful && { encoding: 'faithful' as const, exponent: { layer: 'fc1' } }),
  };
}
