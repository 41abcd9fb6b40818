#!/usr/bin/env node
/** The command line: arguments in, exit codes out. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ConfigError, DataError, MidasError } from '../errors.ts';
import { MODEL_KINDS } from '../models/specs.ts';
import { type CommonOptions, packageVersion, Session } from './session.ts';
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
    .addOption(new Option('--tiny', 'a few seconds of it, for tests').hideHelp()),
  'runs/demo',
).action(async (options: CommonOptions & { resume: boolean; tiny?: boolean }) => {
  const { demoArguments } = await import('./demo.ts');
  await runShallowCommand(new Session(options, args), demoArguments(options.tiny === true, options.resume));
});

common(
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
    .addOption(
      new Option('--granularity <name>', 'when faults are drawn').choices(['chip', 'load', 'pass', 'inference']),
    )
    .option('--bits <n>', 'bits of a stored weight, 2..16', whole)
    .option('--headroom <n>', 'bits between the format’s top bit and the weights', whole)
    .option('--faithful', 'number format as published, with its faults')
    .option('--size <WxH>', 'size of the embedded faces', '56x64')
    .option('--resume', 'go on with an interrupted run', false),
  'runs/shallow',
).action(async (options: ShallowOptions) => {
  await runShallowCommand(new Session(options, args), shallowArguments(options));
});

interface ShallowOptions extends CommonOptions {
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
  bits?: number;
  headroom?: number;
  faithful?: boolean;
  size: string;
  resume: boolean;
}

function shallowArguments(options: ShallowOptions): ShallowArguments {
  const size = /^(\d+)x(\d+)$/.exec(options.size);
  if (!size) throw new ConfigError(`--size ${options.size}: give width x height, such as 56x64`);
  const format = {
    kind: 'fixed',
    ...(options.bits !== undefined && { bits: options.bits }),
    ...(options.headroom !== undefined && { headroom: options.headroom }),
    ...(options.faithful && { encoding: 'faithful', exponent: { layer: 'fc1' } }),
  };
  const given = {
    rates: options.rates,
    layerSets: options.layers,
    grid: options.grid,
    rateMaps: options.rateMap,
    draws: options.draws,
    granularity: options.granularity,
    ...(Object.keys(format).length > 1 && { format }),
  };
  const overrides = {
    ...(options.config !== undefined && readConfig(options.config)),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  const { data, split, model, preset, resume, epochs } = options;
  return { data, split, model, preset, resume, epochs, overrides, width: Number(size[1]), height: Number(size[2]) };
}

async function runShallowCommand(session: Session, shallowArgs: ShallowArguments): Promise<void> {
  const { shallow, summaryLines } = await import('./shallow.ts');
  const results = await shallow(session, shallowArgs);
  session.answer(results, summaryLines(results, session.options.out));
}

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
