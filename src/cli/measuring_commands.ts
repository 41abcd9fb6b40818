/** The options of `midas flips`, `midas bound` and `midas allocate`, which measure a victim without a run folder. Their code is loaded when they run. */
import { type Command, Option } from 'commander';
import { type AllocateOptions, LEAST } from '../experiments/allocate_options.ts';
import { type BoundOptions, SECRETS } from '../experiments/bound_options.ts';
import { type FlipObjective, OBJECTIVES } from '../experiments/flip_objectives.ts';
import type { PresetName } from '../experiments/presets.ts';
import { askedExperiment } from './asked_experiment.ts';
import type { CommandTools } from './data_commands.ts';
import {
  addDefenceOptions,
  addFormatOptions,
  addSweepOptions,
  addTestbedOptions,
  type ExperimentOptions,
} from './experiment_options.ts';
import { layerSets, rates, whole } from './option_values.ts';
import { Session } from './session.ts';

interface Tools extends Pick<CommandTools, 'common' | 'args'> {
  /** Splits the argument `preset or file` into a preset name, or options with a configuration file. */
  readonly presetOf: (
    what: string | undefined,
    options: ExperimentOptions,
  ) => [PresetName | undefined, ExperimentOptions];
}

/** What the options of `flips` are parsed to. */
interface FlipArguments {
  readonly flips: number;
  readonly objective: FlipObjective;
  readonly layers: string[];
  readonly images: number;
  readonly draws: number;
}

function describeObjectives(): string {
  return Object.entries(OBJECTIVES)
    .map(([name, { description }]) => `${name}: ${description}.`)
    .join(' ');
}

const wholes = (text: string) => text.split(',').map(whole);

export function addMeasuringCommands(program: Command, { common, args, presetOf }: Tools): void {
  const tuned = (command: Command, out: string) =>
    common(command, out).option('--no-tune', 'do not measure first which kernels are fastest; results are the same');
  const measured = (name: string, description: string) =>
    program.command(name).argument('[preset or file]', 'as for run').description(description);

  tuned(
    addFormatOptions(
      addTestbedOptions(
        measured(
          'flips',
          'search the stored bits of the victim whose flips do the most damage, and compare them with random flips',
        ),
      ),
    ),
    'runs/flips',
  )
    .option('--flips <n>', 'number of flips to choose in each set of layers', whole, 10)
    .addOption(
      new Option('--objective <name>', `what the flips are chosen for. ${describeObjectives()}`)
        .choices(Object.keys(OBJECTIVES))
        .default('accuracy'),
    )
    .option('--layers <list>', 'sets of layers, each searched alone, such as fc1,fc1+fc2,all', layerSets, ['all'])
    .option('--images <n>', 'training photographs on which costs are computed', whole, 128)
    .option('--draws <n>', 'random sets of flips to compare with', whole, 5)
    .action(async (what: string | undefined, options: ExperimentOptions & FlipArguments) => {
      const { flips, objective, layers, images, draws, ...rest } = options;
      const [preset, asked] = presetOf(what, rest as ExperimentOptions);
      const session = new Session(options, args);
      const { flipsCommand } = await import('./flips.ts');
      const wanted = { flips, objective, sets: layers, images, draws };
      await flipsCommand(session, await askedExperiment(preset, asked), wanted);
    });

  tuned(
    addDefenceOptions(
      addSweepOptions(
        addTestbedOptions(
          measured(
            'bound',
            'bound from below the error of any attacker who reconstructs a training photograph from weights that are read with errors',
          ),
        ),
      ),
    ),
    'runs/bound',
  )
    .addOption(
      new Option('--secret <what>', 'what the attacker wants to see: one training photograph, or those of a person')
        .choices(SECRETS)
        .default('person'),
    )
    .option('--replaced <n>', 'secrets that are replaced by those of other people, each in three trainings', whole, 1)
    .option('--reads <list>', 'numbers of reads of the weights with new errors that the attacker has', wholes, [1])
    .action(
      async (what: string | undefined, { secret, replaced, reads, ...options }: ExperimentOptions & BoundOptions) => {
        const session = new Session(options, args);
        const { boundCommand } = await import('./bound.ts');
        await boundCommand(session, await askedExperiment(...presetOf(what, options)), { secret, replaced, reads });
      },
    );

  tuned(
    addDefenceOptions(
      addSweepOptions(
        addTestbedOptions(
          measured(
            'allocate',
            'find a memory for every layer with the least leak or energy for a loss of accuracy, among those of --rates, --layers and ' +
              '--memory',
          ),
        ),
      ),
    ),
    'runs/allocate',
  )
    .option('--budget <list>', 'losses of accuracy that are allowed, 0..1', rates, [0.01, 0.03, 0.05])
    .addOption(
      new Option('--least <what>', 'what is to be least: the lift of the worst attacker, or the energy of reads')
        .choices(LEAST)
        .default('leak'),
    )
    .action(
      async (
        what: string | undefined,
        { budget, least, ...options }: ExperimentOptions & { budget: number[] } & Pick<AllocateOptions, 'least'>,
      ) => {
        const session = new Session(options, args);
        const { allocateCommand } = await import('./allocate.ts');
        await allocateCommand(session, await askedExperiment(...presetOf(what, options)), { budgets: budget, least });
      },
    );
}
