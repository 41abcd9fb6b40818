#!/usr/bin/env node
/** The command line: parses arguments, runs a command, sets the exit code. The code of a command is loaded when it runs. */
import { realpathSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { ConfigError, InterruptedError, MidasError } from '../errors.ts';
import { PRESETS, type PresetName } from '../experiments/presets.ts';
import { packageFile, packageVersion } from '../gpu/node/package.ts';
import { printable, printableMessage } from '../printable.ts';
import { askedExperiment } from './asked_experiment.ts';
import { addDataCommands } from './data_commands.ts';
import {
  addDefenceOptions,
  addRunOptions,
  addSlurmOptions,
  addSweepOptions,
  addTestbedOptions,
  dawnOption,
  dumpShadersOption,
  type ExperimentOptions,
  networkOption,
} from './experiment_options.ts';
import { addMeasuringCommands } from './measuring_commands.ts';
import { addMemoryCommands } from './memory_commands.ts';
import { filePath, whole } from './option_values.ts';
import type { PlanArguments } from './plan.ts';
import { addReportCommands } from './report_commands.ts';
import { type CommonOptions, Session } from './session.ts';
import type { SlurmOptions } from './slurm.ts';

const args = process.argv.slice(2);

// A reader that closes the pipe, such as head, or a full device ends the output and not the command, which still has a device
// to close and a folder to unlock. The exit code is that of a program that SIGPIPE ended.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') printError(`cannot write standard output: ${error.message}`);
  process.exitCode = 141;
});
// Progress that nobody reads is lost without harm.
process.stderr.on('error', () => {});

function printError(message: string): void {
  process.stderr.write(`midas: ${printableMessage(message)}\n`);
}

/**
 * Goes to the folder in which the user called npm: npm runs the scripts of a clone in the clone's folder, but paths are relative
 * to where the user stands. Scripts of other packages that call this command are left alone.
 * @throws ConfigError if that folder no longer exists
 */
function enterCallerFolder(): void {
  const { npm_lifecycle_event: script, INIT_CWD: folder } = process.env;
  if ((script !== 'midas' && script !== 'demo') || !folder) return;
  if (realpathSync(process.cwd()) !== realpathSync(packageFile('.'))) return;
  try {
    process.chdir(folder);
  } catch {
    throw new ConfigError(`INIT_CWD ${folder}: no such folder; call npm in a folder that exists`);
  }
}

/** Adds the options that every command has. @param out default of --out */
function common(command: Command, out: string): Command {
  return command
    .option('--out <dir>', 'where to write the files', filePath, out)
    .option('--seed <n>', 'seed of all random numbers; the same seed gives the same bits (default: 1)', whole)
    .option('--adapter <name>', 'WebGPU adapter: auto, software, opengles, or part of a name', 'auto')
    .option('--json', 'print one JSON object on stdout and nothing else there', false)
    .option('--quiet', 'print no progress on stderr', false);
}

/** Adds every option of an experiment to a command. */
function experiment(command: Command, preset: PresetName | undefined, out: string): Command {
  return common(addRunOptions(addDefenceOptions(addSweepOptions(addTestbedOptions(command, preset)))), out);
}

const program = new Command('midas')
  .description('Model inversion against networks in approximate memory, on WebGPU')
  .version(packageVersion())
  .configureOutput({
    outputError: (message) => process.stderr.write(`${printableMessage(`${message} (--help lists the options)`)}\n`),
  })
  .exitOverride();

common(
  program
    .command('doctor')
    .description(
      'describe the adapter, check every kernel against its reference, measure speed, estimate the time of `demo`',
    ),
  'runs/doctor',
)
  .addOption(dumpShadersOption())
  .addOption(dawnOption())
  .action(async (options: CommonOptions) => {
    const { doctor } = await import('./doctor.ts');
    await doctor(new Session(options, args));
  });

common(
  program
    .command('demo')
    .description('run everything on procedural faces: train, attack, defend, sweep, draw pictures')
    .option('--resume', 'continue an interrupted run', false)
    .option('--profile', 'print tables of the time that kernels and host take in each phase', false)
    .option('--no-tune', 'do not measure first which kernels are fastest; results are the same')
    .addOption(new Option('--tiny', 'a version that takes a few seconds, for tests').hideHelp()),
  'runs/demo',
).action(async (options: CommonOptions & { resume: boolean; tiny?: boolean }) => {
  const { demoCommand } = await import('./run.ts');
  await demoCommand(new Session(options, args), options.tiny === true, options.resume);
});

/** Runs the experiment that the options describe, or prints its configuration. */
async function runAsked(preset: PresetName | undefined, options: ExperimentOptions): Promise<void> {
  const session = new Session(options, args);
  const asked = await askedExperiment(preset, options);
  if (options.printConfig) {
    session.answerJson(asked.config);
    return;
  }
  if (options.maxMinutes !== undefined) session.stopAfter(options.maxMinutes);
  const { runCommand } = await import('./run.ts');
  await runCommand(session, asked, options.resume === true);
}

/** Splits the argument of `run` into a preset name, or options with a configuration file. @throws ConfigError */
function presetOf(what: string | undefined, options: ExperimentOptions): [PresetName | undefined, ExperimentOptions] {
  if (what === undefined) {
    if (options.config !== undefined) return [undefined, options];
    if (options.victim !== undefined) return ['shallow', options];
    throw new ConfigError(
      `give a preset (${Object.keys(PRESETS).join(', ')}), a configuration file or the folder of a run`,
    );
  }
  const name = (Object.keys(PRESETS) as PresetName[]).find((each) => each === what);
  if (name) return [name, options];
  if (options.config !== undefined) {
    throw new ConfigError(`${what}: no such preset; choose one of ${Object.keys(PRESETS).join(', ')}`);
  }
  return [undefined, { ...options, config: what }];
}

addSlurmOptions(
  experiment(
    program
      .command('run')
      .argument('[preset or file]', `${Object.keys(PRESETS).join(', ')}, a configuration file, or the folder of a run`)
      .description(
        'run an experiment (data, victim, defences, attacks); each option changes one field of its configuration',
      ),
    undefined,
    'runs/run',
  ),
)
  .addHelpText(
    'after',
    `\nPresets: ${Object.entries(PRESETS)
      .map(([name, sizes]) => `${name} (${sizes.join(', ')})`)
      .join('; ')}`,
  )
  .action(async (what: string | undefined, options: ExperimentOptions & SlurmOptions, command: Command) => {
    const { checkSlurmOptions, slurmCommand } = await import('./slurm.ts');
    checkSlurmOptions(options);
    const [preset, asked] = presetOf(what, options);
    if (!options.slurm || options.printConfig) return runAsked(preset, asked);
    const session = new Session(options, args);
    await slurmCommand(session, await askedExperiment(preset, asked), options, { args, known: command.options });
  });

experiment(
  program
    .command('shallow')
    .description('run the preset shallow: MI-Face against a classifier of dense layers, defended by bit errors'),
  'shallow',
  'runs/shallow',
).action((options: ExperimentOptions) => runAsked('shallow', options));

experiment(
  program
    .command('deep')
    .description('run the preset deep: a network that inverts a convolutional classifier, defended by bit errors'),
  'deep',
  'runs/deep',
).action((options: ExperimentOptions) => runAsked('deep', options));

experiment(
  program
    .command('attack')
    .argument('[preset or file]', 'as for run')
    .description('run one attack on one victim in one memory, without a sweep and without noise to compare with'),
  undefined,
  'runs/attack',
).action(async (what: string | undefined, options: ExperimentOptions) => {
  const [preset, asked] = presetOf(what, options);
  const { attackOptions } = await import('./attack.ts');
  await runAsked(preset, attackOptions(asked));
});

experiment(
  program
    .command('train')
    .argument('[preset or file]', 'as for run')
    .description('train the networks of the victim and the attackers, and write them as checkpoints into --out'),
  undefined,
  'runs/train',
).action(async (what: string | undefined, options: ExperimentOptions) => {
  const session = new Session(options, args);
  const { trainCommand, trainOptions } = await import('./train.ts');
  const [preset, asked] = presetOf(what, await trainOptions(options));
  await trainCommand(session, await askedExperiment(preset, asked), options.resume === true);
});

common(
  program
    .command('plan')
    .argument('[preset]', Object.keys(PRESETS).join(', '), 'deep')
    .description('estimate the memory and time that a configuration needs on this adapter, without running it')
    .option('--preset <size>', 'size of the preset')
    .option('--config <file>', 'JSON whose keys replace the preset’s', filePath)
    .option('--victim <file>', 'any network as victim: ONNX, a checkpoint, or a description in JSON', filePath)
    .addOption(networkOption())
    .option(
      '--people <n>',
      'how many people the victim knows; default: those of the preset (530, as published, for the size paper)',
      whole,
    )
    .option('--images <n>', 'number of images that the victim is trained on', whole)
    .option('--public-images <n>', 'number of images that an inversion network is trained on', whole),
  'runs/plan',
).action(async (what: string, options: CommonOptions & PlanArguments & { preset?: string; config?: string }) => {
  const { planCommand } = await import('./plan.ts');
  const session = new Session(options, args);
  const { people, images, publicImages, ...rest } = options;
  const [preset, asked] = presetOf(what, rest as ExperimentOptions);
  const { config, pretrained } = await askedExperiment(preset, asked, { planned: true });
  const published = options.preset === 'paper';
  await planCommand(session, config, { people, images, publicImages, published, pretrained });
});

common(
  program
    .command('schema')
    .argument('<what>', 'experiment, memory, network or results')
    .description('print the JSON Schema of a configuration, a memory, or results.json; every field has a description'),
  'runs/schema',
).action(async (what: string, options: CommonOptions) => {
  const { schemaCommand } = await import('./schema.ts');
  schemaCommand(new Session(options, args), what);
});

common(
  program
    .command('explain')
    .argument('[term]', 'a term, a measure, a column, a field or an option; all terms are listed without it')
    .description('say in a few sentences what a term, a column of a file or an option means'),
  'runs/explain',
).action(async (term: string | undefined, options: CommonOptions) => {
  const { explainCommand } = await import('./explain.ts');
  explainCommand(new Session(options, args), program, term);
});

addMeasuringCommands(program, { common, args, presetOf });
addReportCommands(program, { common, args });
addDataCommands(program, { common, whole, args });
addMemoryCommands(program, { common, whole, args });

try {
  enterCallerFolder();
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and version are not failures; commander has already printed the message of any other error.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof MidasError) {
    printError(error.message);
    process.exitCode = error.exitCode;
    // Pipelines that are still compiling would keep the process for seconds.
    if (error instanceof InterruptedError) process.stderr.write('', () => process.exit());
  } else {
    const text = String((error as Error)?.stack ?? error);
    process.stderr.write(
      `midas: this should not happen, please report it: ${text
        .split('\n')
        .map((line) => printable(line))
        .join('\n')}\n`,
    );
    process.exitCode = 1;
  }
}
