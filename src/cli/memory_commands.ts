/** The options of `midas memory ...`; the code of these commands is loaded when they run. */
import type { Command } from 'commander';
import type { CommandTools } from './data_commands.ts';
import type { MapArguments } from './memory.ts';
import { filePath } from './option_values.ts';
import { type CommonOptions, Session } from './session.ts';

export function addMemoryCommands(program: Command, { common, whole, args }: CommandTools): void {
  const memory = program.command('memory').description('memory configurations: list, print, draw their faults, verify');

  common(memory.command('list').description('list the configurations that have a name'), 'runs').action(
    async (options: CommonOptions) => {
      const { memoryList } = await import('./memory.ts');
      memoryList(new Session(options, args));
    },
  );

  common(
    memory
      .command('show')
      .argument('<name>', 'name from midas memory list')
      .description('print a configuration as JSON, with its default values filled in'),
    'runs',
  ).action(async (name: string, options: CommonOptions) => {
    const { memoryShow } = await import('./memory.ts');
    memoryShow(new Session(options, args), name);
  });

  common(memory.command('schema').description('print the JSON Schema of configurations'), 'runs').action(
    async (options: CommonOptions) => {
      const { memorySchema } = await import('./memory.ts');
      memorySchema(new Session(options, args));
    },
  );

  common(
    memory
      .command('map')
      .argument('[memory]', 'name or JSON file of a configuration', 'uniform-0.01')
      .description(
        'read a network from a memory once; print the bit error rates that occurred and draw the flipped bits',
      )
      .option(
        '--checkpoint <file>',
        'checkpoint of a network; default: an untrained network of the preset shallow',
        filePath,
      )
      .option('--tensor <name>', 'parameter to read, such as fc1.weight; default: the first that is stored')
      .option('--draw <n>', 'index of the draw: which load, or at granularity chip which chip', whole, 0),
    'runs/memory',
  ).action(async (name: string, options: CommonOptions & Omit<MapArguments, 'memory'>) => {
    const { memoryMap } = await import('./memory.ts');
    const { checkpoint, tensor, draw } = options;
    await memoryMap(new Session(options, args), { memory: name, checkpoint, tensor, draw, seed: options.seed });
  });

  common(
    memory
      .command('verify')
      .description('check on this adapter that rates, fault maps, codes and corrections match their definitions'),
    'runs/memory',
  ).action(async (options: CommonOptions) => {
    const { memoryVerify } = await import('./memory_verify.ts');
    await memoryVerify(new Session(options, args));
  });
}
