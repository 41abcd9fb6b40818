/** The options of `midas memory ...`; what they do is loaded when they run. */
import type { Command } from 'commander';
import type { CommandTools } from './data_commands.ts';
import type { MapArguments } from './memory.ts';
import { type CommonOptions, Session } from './session.ts';

export function addMemoryCommands(program: Command, { common, whole, args }: CommandTools): void {
  const memory = program
    .command('memory')
    .description('memory configurations: which have a name, what they are, where their faults lie');

  common(memory.command('list').description('the configurations that have a name'), 'runs').action(
    async (options: CommonOptions) => {
      const { memoryList } = await import('./memory.ts');
      memoryList(new Session(options, args));
    },
  );

  common(
    memory
      .command('show')
      .argument('<name>', 'of midas memory list')
      .description('a configuration as JSON, with what it leaves to the defaults'),
    'runs',
  ).action(async (name: string, options: CommonOptions) => {
    const { memoryShow } = await import('./memory.ts');
    memoryShow(new Session(options, args), name);
  });

  common(memory.command('schema').description('the JSON Schema of configurations'), 'runs').action(
    async (options: CommonOptions) => {
      const { memorySchema } = await import('./memory.ts');
      memorySchema(new Session(options, args));
    },
  );

  common(
    memory
      .command('map')
      .argument('[memory]', 'name of a configuration, or a JSON file with one', 'uniform-0.01')
      .description('read a network from a memory once: achieved bit error rates, and a picture of where it failed')
      .option('--checkpoint <file>', 'network of a run; default: a fresh one of the preset shallow')
      .option('--tensor <name>', 'parameter to look at, such as fc1.weight; the first that is stored by default')
      .option('--draw <n>', 'which load, or at granularity chip which specimen', whole, 0),
    'runs/memory',
  ).action(async (name: string, options: CommonOptions & Omit<MapArguments, 'memory'>) => {
    const { memoryMap } = await import('./memory.ts');
    const { checkpoint, tensor, draw } = options;
    await memoryMap(new Session(options, args), { memory: name, checkpoint, tensor, draw, seed: options.seed });
  });

  common(
    memory
      .command('verify')
      .description('prove the memory on this adapter: rates, maps, codes and corrections against their definitions'),
    'runs/memory',
  ).action(async (options: CommonOptions) => {
    const { memoryVerify } = await import('./memory_verify.ts');
    await memoryVerify(new Session(options, args));
  });
}
