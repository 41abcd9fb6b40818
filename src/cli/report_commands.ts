/** The options of `midas report` and `midas merge`; the code of these commands is loaded when they run. */
import { type Command, Option } from 'commander';
import type { CommandTools } from './data_commands.ts';
import { waitOption } from './experiment_options.ts';
import { type CommonOptions, Session } from './session.ts';

interface ReportOptions extends CommonOptions {
  readonly format: string[];
  readonly theme: string;
  readonly title?: string;
  readonly latex: boolean;
  readonly markdown: boolean;
}

export function addReportCommands(program: Command, { common, args }: Pick<CommandTools, 'common' | 'args'>): void {
  common(
    program
      .command('report')
      .argument(
        '<dir...>',
        'folders of finished runs (results.json may be compressed by gzip); several are aggregated, and may differ only in their seed',
      )
      .description('make the figures, tables and report of finished runs again, without measuring')
      .option('--format <list>', 'formats of the figures, from svg, png, pdf', (text) => text.split(','), [
        'svg',
        'png',
      ])
      // The names of the themes are repeated here, so that --help need not load the drawing code.
      .addOption(
        new Option('--theme <name>', 'colours of the figures').choices(['light', 'dark', 'print']).default('light'),
      )
      .option('--title <text>', 'title of figures and report; default: a title from the configuration')
      .option('--latex', 'also write the summary as a LaTeX table, table.tex', false)
      .option('--markdown', 'also write summary and comparisons as Markdown tables, tables.md', false),
    'runs/report',
  ).action(async (dirs: string[], options: ReportOptions) => {
    const { reportCommand } = await import('./report.ts');
    const { format, theme, title, latex, markdown } = options;
    await reportCommand(new Session(options, args), { dirs, format, theme, title, latex, markdown });
  });

  common(
    program
      .command('merge')
      .argument('<dir...>', 'folders of all shards, in any order')
      .description('combine the shards of one experiment into the files that a run without shards would have written')
      .addOption(waitOption()),
    'runs/merged',
  ).action(async (dirs: string[], options: CommonOptions) => {
    const { mergeCommand } = await import('./merge.ts');
    await mergeCommand(new Session(options, args), dirs);
  });
}
