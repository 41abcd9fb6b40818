#!/usr/bin/env node
/** The command line: arguments in, exit codes out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ConfigError, DataError, MidasError } from '../errors.ts';
import type { RobustTraining } from '../experiments/robust_training.ts';
import { voltageMemories } from '../experiments/voltage.ts';
import { packageVersion } from '../gpu/node.ts';
import { GRANULARITIES, NUMBER_FORMAT_KINDS } from '../memory/config.ts';
import { VENDORS, type Vendor } from '../memory/undervolting.ts';
import { MODEL_KINDS } from '../models/specs.ts';
import { addDataCommands } from './data_commands.ts';
import type { DeepArguments } from './deep.ts';
import { addMemoryCommands } from './memory_commands.ts';
import type { PlanArguments } from './plan.ts';
import { type CommonOptions, Session } from './session.ts';
import type { ShallowArguments } from './shallow.ts';

const args = process.argv.slice(2);

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is needed.');
  return Number(text);
}

function rates(text: string): number[] {
  return text.split(',').map((part) => {
    const value = rate(part);
    if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError(`${part} is no rate in 0..1.`);
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

function oneRate(text: string): number {
  const [value, ...more] = rates(text);
  if (more.length > 0) throw new InvalidArgumentError('one rate is needed.');
  return value;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('a number above 0 is needed.');
  return value;
}

/** `0.01` or `2^-6`. */
function rate(text: string): number {
  const power = /^2\^(-?\d+)$/.exec(text.trim());
  return power ? 2 ** Number(power[1]) : text.trim() === '' ? Number.NaN : Number(text);
}

/** `fc1=0.01,fc2=2^-9` */
function rateMap(text: string, previous: Record<string, number>[] = []): Record<string, number>[] {
  const entries = text.split(',').map((part) => {
    const [layer, value] = part.split('=');
    const number = rate(value ?? '');
    if (!layer || !(number >= 0 && number <= 1)) throw new InvalidArgumentError(`"${part}" is no layer=rate.`);
    return [layer, number] as const;
  });
  return [...previous, Object.fromEntries(entries)];
}

function list(text: string): string[] {
  return text.split(',').filter((part) => part !== '');
}

function readConfig(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    throw new DataError(`${path}: cannot be read; give a JSON file`);
  }
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new ConfigError(`${path}: ${(error as Error).message}`);
  }
}

function common(command: Command, out: string): Command {
  return command
    .option('--out <dir>', 'where the files go', out)
    .option('--seed <n>', 'one seed in, the same bits out', whole, 1)
    .option('--adapter <name>', 'auto, software, or a part of an adapter name', 'auto')
    .option('--json', 'one JSON object on stdout, nothing else there', false)
    .option('--quiet', 'no progress on stderr', false);
}

const NO_TUNE = 'do not choose kernels by measuring them first (2 s, once for each adapter); results are the same';
const PROFILE = 'tables of where the time goes, phase by phase: kernels and host; results stay the same';

const program = new Command('midas')
  .description('Model inversion against networks in approximate memory, on WebGPU')
  .version(packageVersion())
  .showHelpAfterError('(--help lists the options)')
  .exitOverride();

common(
  program
    .command('doctor')
    .description('adapter, limits, every kernel against its CPU twin, GEMM speed, time that `demo` will take'),
  'runs/doctor',
).action(async (options: CommonOptions) => {
  const { doctor } = await import('./doctor.ts');
  await doctor(new Session(options, args));
});

common(
  program
    .command('demo')
    .description('the whole story on the embedded faces: train, attack, defend, sweep, pictures')
    .option('--resume', 'go on with an interrupted run', false)
    .option('--profile', PROFILE, false)
    .option('--no-tune', NO_TUNE)
    .addOption(new Option('--tiny', 'a few seconds of it, for tests').hideHelp()),
  'runs/demo',
).action(async (options: CommonOptions & { resume: boolean; tiny?: boolean }) => {
  const { deepDemoArguments, demoArguments } = await import('./demo.ts');
  const { shallow, summaryLines } = await import('./shallow.ts');
  const { deep } = await import('./deep.ts');
  const session = new Session(options, args);
  const [tiny, out] = [options.tiny === true, join(options.out, 'deep')];
  const first = await shallow(session, demoArguments(tiny, options.resume));
  const second = await deep(session, deepDemoArguments(tiny, options.resume), out);
  const lines = [...summaryLines(first, options.out), '', ...summaryLines(second, out)];
  session.answer({ ...first, deep: second }, lines);
});

common(
  stored(
    program
      .command('shallow')
      .description('the shallow experiment: train a classifier, invert it, defend it by bit errors')
      .option('--data <dir>', 'faces in the AT&T layout (sN/M.pgm); the embedded faces by default')
      .option('--split <file>', 'JSON with train, test and classes; the published split by default')
      .addOption(new Option('--model <name>', 'victim').choices(MODEL_KINDS).default('mlp'))
      .addOption(new Option('--preset <name>', 'how much of it').choices(['quick', 'full']).default('quick'))
      .option('--config <file>', 'JSON whose keys replace the preset’s')
      .option('--rates <list>', 'bit error rates, such as 0.01,2^-6', rates)
      .option('--layers <list>', 'sets of layers in approximate memory, such as fc1,fc2,both', list)
      .option('--grid <list>', 'bit error rates of the two layers, crossed', rates)
      .option('--rate-map <layer=rate,…>', 'one more condition with a rate a layer; may be repeated', rateMap)
      .option('--draws <n>', 'fault maps a condition', whole)
      .option('--epochs <n>', 'epochs of training', whole)
      .addOption(new Option('--granularity <name>', 'when faults are drawn').choices(GRANULARITIES))
      .option('--size <WxH>', 'size of the embedded faces', '56x64')
      .option('--profile', PROFILE, false)
      .option('--no-tune', NO_TUNE)
      .option('--resume', 'go on with an interrupted run', false),
  ),
  'runs/shallow',
).action(async (options: ShallowOptions) => {
  await runShallowCommand(new Session(options, args), await shallowArguments(options));
});

/** Options of the number format that both experiments take. */
interface FormatOptions {
  format?: string;
  bits?: number;
  headroom?: number;
  faithful?: boolean;
}

/** Adds the options of the number format, and of training for memory that errs. */
function stored(command: Command): Command {
  return command
    .addOption(new Option('--format <name>', 'how weights are stored').choices(NUMBER_FORMAT_KINDS))
    .option('--bits <n>', 'bits of a stored fixed-point weight, 2..16', whole)
    .option('--headroom <n>', 'bits between the fixed-point format’s top bit and the weights', whole)
    .option('--faithful', 'fixed point as published, with its faults')
    .option(
      '--memory <name>',
      'a condition with a memory of `midas memory list` or a JSON file, in place of the sweep; may be repeated',
      (name: string, before: string[]) => [...before, name],
      [],
    )
    .option(
      '--voltages <vendor:list>',
      'a sweep over supply voltage on measured DIMMs, such as C:1.35,1.25,1.15',
      voltages,
    )
    .option('--weight-clip <c>', 'train with weights clipped to +-c', positive)
    .option('--train-ber <rate>', 'train with bit errors of this rate, drawn anew in every step', oneRate)
    .option('--train-ramp <n>', 'epochs over which that rate rises to its full value', whole);
}

/** Conditions of memories that were asked for: in place of the sweep over rates, and of the noise that is compared with it. */
async function memoriesOverride(options: StoredOptions): Promise<{ memories?: object[] }> {
  const { readMemory } = await import('./memory_file.ts');
  const { vendor, volts } = options.voltages ?? {};
  const format = formatOverride(options).format as Parameters<typeof voltageMemories>[2];
  if (options.granularity !== undefined && (vendor || options.memory.length > 0)) {
    throw new ConfigError('--granularity: a memory says itself when its faults are drawn');
  }
  const memories: object[] = vendor && volts ? voltageMemories(vendor, volts, format) : [];
  for (const name of options.memory) {
    const { input } = await readMemory(name);
    memories.push({ name, setting: name, memory: input });
  }
  return memories.length > 0 ? { memories } : {};
}

interface StoredOptions extends FormatOptions {
  memory: string[];
  granularity?: string;
  voltages?: { vendor: Vendor; volts: number[] };
  weightClip?: number;
  trainBer?: number;
  trainRamp?: number;
}

/** What training was asked to add, with the number format that the weights will have. */
function robustTraining(options: StoredOptions): RobustTraining {
  const { weightClip, trainBer, trainRamp } = options;
  if (trainRamp !== undefined && trainBer === undefined) throw new ConfigError('--train-ramp: give --train-ber too');
  return {
    ...(weightClip !== undefined && { weightClip }),
    ...(trainBer !== undefined && {
      errors: { ...formatOverride(options), bitErrorRate: trainBer, rampEpochs: trainRamp ?? 0 },
    }),
  };
}

/** The format that was asked for, if any was. */
function formatOverride({ format, bits, headroom, faithful }: FormatOptions): { format?: object } {
  if (format !== undefined && format !== 'fixed') {
    if (bits !== undefined || headroom !== undefined || faithful) {
      throw new ConfigError(`--format ${format}: --bits, --headroom and --faithful are of fixed point`);
    }
    // What is not a number has no similarity: the largest finite value stands for it.
    return { format: { kind: format, ...(format.startsWith('int') ? {} : { nonFinite: 'saturate' }) } };
  }
  if (format === undefined && bits === undefined && headroom === undefined && !faithful) return {};
  return {
    format: {
      kind: 'fixed',
      ...(bits !== undefined && { bits }),
      ...(headroom !== undefined && { headroom }),
      ...(faithful && { encoding: 'faithful', exponent: { layer: 'fc1' } }),
    },
  };
}

interface ShallowOptions extends CommonOptions, StoredOptions {
  data?: string;
  split?: string;
  model: string;
  preset: string;
  config?: string;
  rates?: number[];
  layers?: string[];
  grid?: number[];
  rateMap?: Record<string, number>[];
  draws?: number;
  epochs?: number;
  granularity?: string;
  size: string;
  resume: boolean;
}

async function shallowArguments(options: ShallowOptions): Promise<ShallowArguments> {
  const size = /^(\d+)x(\d+)$/.exec(options.size);
  if (!size) throw new ConfigError(`--size ${options.size}: give width x height, such as 56x64`);
  const given = {
    rates: options.rates,
    layerSets: options.layers,
    grid: options.grid,
    rateMaps: options.rateMap,
    draws: options.draws,
    granularity: options.granularity,
    ...formatOverride(options),
  };
  const memories = await memoriesOverride(options);
  const overrides = {
    ...(memories.memories !== undefined && { ...memories, rates: [], noise: [] }),
    ...(options.config !== undefined && readConfig(options.config)),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  const { data, split, model, preset, resume, epochs } = options;
  const [width, height] = [Number(size[1]), Number(size[2])];
  const robust = robustTraining(options);
  return { data, split, model, preset, resume, epochs, overrides, robust, width, height };
}

common(
  stored(
    program
      .command('deep')
      .description('the deep experiment: train a convolutional classifier and a network that inverts it, defend it')
      .option(
        '--private <path>',
        'people of the victim: a folder with a folder a person, or a pack; else embedded faces',
      )
      .option(
        '--public <path>',
        'people of the attacker, or `embedded`; by default who of --private is left by --people',
      )
      .option('--people <n>', 'how many people of --private are the victim’s, in the order of their names', whole)
      .option('--augment <n>', 'variations of every public photograph', whole, 0)
      .option('--allow-shared', 'go on though private and public people share names', false)
      .addOption(
        new Option('--preset <name>', 'size of the networks').choices(['tiny', 'small', 'paper']).default('tiny'),
      )
      .option(
        '--pretrained <dir>',
        'folder with the networks of a run (victim.safetensors, inversion.safetensors, ...), instead of training',
      )
      .option('--config <file>', 'JSON whose keys replace the preset’s')
      .option('--draws <n>', 'fault maps a condition', whole)
      .addOption(new Option('--granularity <name>', 'when faults are drawn').choices(GRANULARITIES))
      .option('--profile', PROFILE, false)
      .option('--no-tune', NO_TUNE)
      .option('--resume', 'go on with an interrupted run', false),
  ),
  'runs/deep',
).action(async (options: DeepOptions) => {
  const { deep } = await import('./deep.ts');
  const session = new Session(options, args);
  const results = await deep(session, await deepArguments(options));
  const { summaryLines } = await import('./shallow.ts');
  session.answer(results, summaryLines(results, options.out));
});

interface DeepOptions extends CommonOptions, StoredOptions {
  private?: string;
  public?: string;
  people?: number;
  augment: number;
  allowShared: boolean;
  preset: string;
  pretrained?: string;
  config?: string;
  draws?: number;
  granularity?: string;
  resume: boolean;
}

async function deepArguments(options: DeepOptions): Promise<DeepArguments> {
  const { people, augment, allowShared, preset, pretrained, resume } = options;
  const given = { draws: options.draws, granularity: options.granularity, ...formatOverride(options) };
  const memories = await memoriesOverride(options);
  const without = { sweeps: [], noise: { kinds: [], sets: [], matched: 'fc1+fc2', moments: false } };
  const overrides = {
    ...(memories.memories !== undefined && { ...memories, ...without }),
    ...(options.config !== undefined && readConfig(options.config)),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  const files = { private: options.private, public: options.public, pretrained };
  const robust = robustTraining(options);
  return { ...files, people, augment, allowShared, preset, resume, overrides, robust };
}

async function runShallowCommand(session: Session, shallowArgs: ShallowArguments): Promise<void> {
  const { shallow, summaryLines } = await import('./shallow.ts');
  const results = await shallow(session, shallowArgs);
  session.answer(results, summaryLines(results, session.options.out));
}

common(
  program
    .command('plan')
    .description('memory and time of a configuration on this adapter, without running it')
    .command('deep')
    .description('plan the deep experiment: parameters, memory of training, operations, time')
    .addOption(
      new Option('--preset <name>', 'size of the networks').choices(['tiny', 'small', 'paper']).default('tiny'),
    )
    .option('--config <file>', 'JSON whose keys replace the preset’s')
    .option('--people <n>', 'how many people the victim knows; 30, or as published 530', whole)
    .option('--images <n>', 'images that the victim is trained on', whole)
    .option('--public-images <n>', 'images that the inversion network is trained on', whole),
  'runs/plan',
).action(async (options: CommonOptions & PlanArguments & { config?: string }) => {
  const { planDeepCommand } = await import('./plan.ts');
  const overrides = options.config === undefined ? {} : readConfig(options.config);
  const { preset, people, images, publicImages } = options;
  await planDeepCommand(new Session(options, args), { preset, people, images, publicImages, overrides });
});

addDataCommands(program, { common, whole, args });
addMemoryCommands(program, { common, whole, args });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and version are no failure; commander has already said what is wrong with anything else.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof MidasError) {
    process.stderr.write(`midas: ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else {
    process.stderr.write(`midas: this should not happen, please report it: ${(error as Error)?.stack ?? error}\n`);
    process.exitCode = 1;
  }
}
