/** The options of `midas merge` and `midas report`; what they do is loaded when they run. */
import type { Command } from 'commander';
import type { CommandTools } from './data_commands.ts';
import { type CommonOptions, Session } from './session.ts';

export function addReportCommands(program: Command, { common, args }: CommandTools): void {
  common(
    program
      .command('merge')
      .argument('<dir...>', 'folders of all shards, in any order')
      .description('put the shards of one experiment together: the same files as one run would have written'),
    'runs/merged',
  ).action(async (dirs: string[], options: CommonOptions) => {
    const { mergeCommand } = await import('./merge.ts');
    await mergeCommand(new Session(options, args), dirs);
  });
}
