/** The options of the commands that run an experiment. Each changes one field of the configuration of a preset or a file. */
import { type Command, Option } from 'commander';
import { ATTACKS } from '../attacks/registry.ts';
import { RELEASE_DEFENCES, TRAINING_DEFENCES } from '../defences/registry.ts';
import { EVALUATORS, VICTIM_KINDS, type VictimKind } from '../experiments/config.ts';
import { PRESETS, type PresetName } from '../experiments/presets.ts';
import type { AskedLatency, AskedVoltages } from '../experiments/voltage.ts';
import { COLOURS, type Colours } from '../image_size.ts';
import { GRANULARITIES, NOISE_KINDS, NUMBER_FORMAT_KINDS } from '../memory/config.ts';
import { FIXED_REPRESENTATIONS, type FixedRepresentation } from '../memory/fixed_point.ts';
import {
  choices,
  filePath,
  imageSize,
  latencies,
  layerSets,
  rateMap,
  rates,
  voltages,
  whole,
} from './option_values.ts';
import type { CommonOptions } from './session.ts';

/** The parsed values of the options below. An option that the user did not give is absent. */
export interface ExperimentOptions extends CommonOptions {
  readonly preset?: string;
  readonly config?: string;
  readonly model?: VictimKind;
  readonly victim?: string;
  readonly network?: string;
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
  readonly planes?: boolean;
  readonly rateMap?: Record<string, number>[];
  readonly memory?: string[];
  readonly voltages?: AskedVoltages;
  readonly badBits?: number[];
  readonly latency?: AskedLatency;
  readonly dimm?: string;
  readonly activationRates?: number[];
  readonly noise?: string[];
  readonly draws?: number;
  readonly granularity?: string;
  readonly format?: string;
  readonly bits?: number;
  readonly headroom?: number;
  readonly representation?: FixedRepresentation;
  readonly faithful?: boolean;
  readonly resume?: boolean;
  readonly shard?: string;
  readonly maxMinutes?: number;
  readonly printConfig?: boolean;
}

/** The option of the commands that take a --victim. */
export const networkOption = () =>
  new Option(
    '--network <file>',
    'description in JSON (midas schema network) of the network whose parameters --victim holds; alone, for train: of the victim',
  ).argParser(filePath);

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
      '--victim <file>',
      'any network as victim: an ONNX file, a checkpoint of midas import, or a description in JSON, which is trained first',
      filePath,
    )
    .addOption(networkOption())
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
  command
    .option('--rates <list>', 'bit error rates, such as 0.01,2^-6', rates)
    .option('--layers <list>', 'sets of layers in approximate memory, such as fc1,fc1+fc2,all', layerSets)
    .option('--grid <list>', 'bit error rates of the first two layers, measured in every combination', rates)
    .option('--planes', 'also measure errors in the sign bits, the high bits and the low bits alone')
    .option('--rate-map <layer=rate,…>', 'one more condition with a rate per layer; may be repeated', rateMap)
    .option(
      '--memory <name>',
      'measure a memory from `midas memory list` or a JSON file instead of the sweep; may be repeated',
      (name: string, before: string[] = []) => [...before, name],
    )
    .option(
      '--voltages <dimms:list>',
      'sweep the supply voltage of measured DIMMs instead of the rates: C:1.35,1.25,1.15 of all DIMMs of vendor C that ' +
        'were measured at each, C1:1.25,1.2 of one; vendor C by rows, A and B by cache lines',
      voltages,
    )
    .option(
      '--bad-bits <list>',
      'with --voltages: bit error rates in bad rows and lines, which were not measured, such as 0.002,0.05,0.5; default: 0.05',
      rates,
    )
    .option(
      '--latency <vendor:list>',
      'sweep the timing of measured DIMMs that are read early instead of the rates, in nanoseconds: B:tRCD=7.5,5 or A:tRP=7.5',
      latencies,
    )
    .option('--dimm <name>', 'with --latency: one DIMM of the vendor, such as p1; default: every draw is another')
    .option(
      '--activation-rates <list>',
      'sweep bit error rates of the outputs of all dense layers and convolutions, which lie in memory instead of the weights',
      rates,
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
    .addOption(new Option('--granularity <name>', 'how often faults are drawn anew').choices(GRANULARITIES));
  return addFormatOptions(command);
}

/** Adds the options of the number format in which weights are stored. */
export function addFormatOptions(command: Command): Command {
  return command
    .addOption(new Option('--format <name>', 'how weights are stored').choices(NUMBER_FORMAT_KINDS))
    .option('--bits <n>', 'bits of a stored fixed-point weight, 2..16', whole)
    .option('--headroom <n>', 'bits between the fixed-point format’s top bit and the weights', whole)
    .addOption(
      new Option('--representation <name>', 'how a negative fixed-point weight is stored').choices(
        FIXED_REPRESENTATIONS,
      ),
    )
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
    .addOption(waitOption())
    .option('--profile', PROFILE)
    .addOption(traceOption())
    .addOption(dumpShadersOption())
    .addOption(dawnOption())
    .option('--no-tune', NO_TUNE);
}

const traceOption = () =>
  new Option(
    '--trace <file>',
    'also write the spans of the host and the passes of the GPU, with their kernels, as a Chrome trace for ui.perfetto.dev; ' +
      'implies --profile',
  ).argParser(filePath);

/** The option of the commands that run kernels. */
export const dumpShadersOption = () =>
  new Option(
    '--dump-shaders <dir>',
    'write the text of every shader that is compiled, with its includes and constants',
  ).argParser(filePath);

/** The option of the commands that run kernels. */
export const dawnOption = () =>
  new Option(
    '--dawn <toggles>',
    'toggles of Dawn, such as enable:dump_shaders,disable:use_tint_ir; Dawn ignores names that it does not know',
  );

/** The option of the commands that may meet another process in their folder. */
export const waitOption = () =>
  new Option(
    '--wait-minutes <n>',
    'wait this long for another process that writes into --out, such as one on a machine that was lost; default: 0',
  ).argParser(whole);

/** Adds the options of a run on several machines. */
export function addSlurmOptions(command: Command): Command {
  return command
    .option(
      '--slurm',
      'submit the run to Slurm: its shards as one array job, and a job that merges them; given again, it submits what is ' +
        'missing. Other settings come from the variables of sbatch, such as SBATCH_TIMELIMIT',
    )
    .option('--array <n>', 'with --slurm: number of shards; default: 8', whole)
    .option('--partition <name>', 'with --slurm: partition of the cluster')
    .option('--dry-run', 'with --slurm: print the two scripts and submit nothing');
}
