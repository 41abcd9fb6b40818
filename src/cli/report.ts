/** `midas report`: makes the figures, tables and report of finished runs again, without measuring anything. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { fileError, readBytes, writeFileAtomic } from '../data/node/files.ts';
import { ConfigError, DataError } from '../errors.ts';
import { drawFigures } from '../results/figures/index.ts';
import { type EncodePng, THEME_NAMES, type ThemeName } from '../results/figures/style.ts';
import { markdownReport } from '../results/markdown.ts';
import { caveatsOf, PRESENTATION_FILE, parsePresentation } from '../results/presentation.ts';
import { reportHtml } from '../results/report.ts';
import { type ReportFaces, reportFaces } from '../results/report_parts.ts';
import {
  aggregate,
  isAggregated,
  latexTable,
  parseResults,
  type Results,
  runTitle,
  summaryCsv,
  toCsv,
} from '../results/results.ts';
import { decidingFaces } from '../results/sheets.ts';
import { verdictOf } from '../results/verdict.ts';
import { endingLines } from './ending.ts';
import { readPictures } from './run_files.ts';
import type { Session } from './session.ts';

export const FIGURE_FORMATS = ['svg', 'png', 'pdf'] as const;
export type FigureFormat = (typeof FIGURE_FORMATS)[number];

export interface ReportArguments {
  /** Folders of finished runs; several runs may differ only in their seed. */
  readonly dirs: readonly string[];
  readonly format: readonly string[];
  readonly theme: string;
  /** Title in place of the one from the manifest. */
  readonly title?: string;
  /** True to write the summary as a LaTeX table too. */
  readonly latex: boolean;
  /** True to write summary and comparisons as Markdown tables too. */
  readonly markdown: boolean;
}

/** Width of a PNG in pixels. */
const PNG_WIDTH = 1400;

/**
 * Writes every figure in every format, results.csv, summary.csv, report.html, and with `latex` table.tex into the session's
 * folder. The summary of several runs is over their seeds.
 *
 * @throws ConfigError for an unknown format or theme, or for runs that differ in more than their seed
 * @throws DataError if a folder has no results
 */
export async function reportCommand(session: Session, args: ReportArguments): Promise<void> {
  const { out } = session.options;
  const formats = formatsOf(args.format);
  const theme = themeOf(args.theme);
  if (args.dirs.length === 0) throw new ConfigError('report: give at least one run folder');
  const runs = await Promise.all(args.dirs.map(readRun));
  const results: Results = runs.length === 1 ? runs[0] : aggregate(runs, args.dirs);
  const title = args.title ?? runTitle(results.manifest);

  // jsdom and resvg take a second to load: they are imported only here.
  const { createDocument, encodePng, figureFonts, svgFile, svgToPng } = await import('./render.ts');
  const files: string[] = [];
  const write = async (name: string, bytes: Uint8Array | string) => {
    await writeFileAtomic(join(out, name), bytes);
    files.push(name);
  };
  try {
    mkdirSync(out, { recursive: true });
  } catch (cause) {
    throw fileError('write', out, cause);
  }
  const figures = drawFigures(results, { document: createDocument(), theme, title: args.title });
  session.progress.start('drawing', figures.length * formats.length);
  for (const { name, svg } of figures) {
    for (const format of formats) {
      if (format === 'svg') await write(`${name}.svg`, svgFile(svg));
      if (format === 'png') await write(`${name}.png`, svgToPng(svg, PNG_WIDTH));
      if (format === 'pdf') {
        const { svgToPdf } = await import('./pdf.ts');
        await write(`${name}.pdf`, await svgToPdf(svg, title));
      }
      session.progress.advance(1, `${name}.${format}`);
    }
  }
  session.progress.done();

  await write('results.csv', toCsv(results.rows));
  await write('summary.csv', summaryCsv(results.summary));
  if (args.latex) {
    const { attacks } = results.manifest;
    await write('table.tex', latexTable(results.summary, { attacks, caption: title, label: 'tab:midas' }));
  }
  if (args.markdown) await write('tables.md', markdownReport(results));
  const faces = await facesOf(args.dirs[0], runs[0], encodePng);
  const caveats = await caveatsOfRuns(args.dirs, runs);
  if (isAggregated(results) && faces) {
    caveats.push(`The pictures are those of seed ${results.seeds[0]}; every seed has a victim of its own.`);
  }
  await write('report.html', reportHtml({ results, figures, faces, title, caveats, fonts: figureFonts() }));
  const seeds = isAggregated(results) ? results.seeds : [results.manifest.seed];
  const { question, answer, notes } = verdictOf(results);
  session.answer({ out, files, seeds, question, answer, notes }, endingLines(results, join(out, 'report.html')));
}

/** The faces that decide the verdict of a run; undefined for a folder without pictures. */
async function facesOf(dir: string, results: Results, encodePng: EncodePng): Promise<ReportFaces | undefined> {
  const folder = {
    describe: (name: string) => join(dir, name),
    read: async (name: string) => (existsSync(join(dir, name)) ? readBytes(join(dir, name)) : undefined),
  };
  const path = folder.describe(PRESENTATION_FILE);
  if (!existsSync(path) || !existsSync(folder.describe('pictures'))) return undefined;
  const presentation = parsePresentation(await readBytes(path), path);
  const deciding = decidingFaces(verdictOf(results), presentation, await readPictures(folder, results, presentation));
  return deciding && reportFaces(deciding, presentation, encodePng);
}

/** The caveats of all runs. Caveats that not all runs share name their seed; runs without a presentation file add none. */
async function caveatsOfRuns(dirs: readonly string[], runs: readonly Results[]): Promise<string[]> {
  const each = await Promise.all(
    dirs.map(async (dir) => {
      const path = join(dir, PRESENTATION_FILE);
      return existsSync(path) ? caveatsOf(parsePresentation(await readBytes(path), path)) : [];
    }),
  );
  const shared = each[0].filter((line) => each.every((lines) => lines.includes(line)));
  const own = each.flatMap((lines, run) =>
    lines.filter((line) => !shared.includes(line)).map((line) => `Seed ${runs[run].manifest.seed}: ${line}`),
  );
  return [...shared, ...own];
}

/** The results of a run, which may be compressed by gzip. */
async function readRun(dir: string): Promise<Results> {
  const path = join(dir, 'results.json');
  const compressed = `${path}.gz`;
  if (!existsSync(path) && existsSync(compressed)) {
    const bytes = await readBytes(compressed);
    try {
      return parseResults(gunzipSync(bytes), path);
    } catch (cause) {
      if (cause instanceof DataError) throw cause;
      throw new DataError(`${compressed}: not a file of gzip, or a damaged one; fetch it again`, { cause });
    }
  }
  if (!existsSync(path)) {
    if (existsSync(join(dir, 'config.json')) && !existsSync(join(dir, 'shard.json'))) {
      throw new DataError(`${dir}: the run there is not finished; finish it: the same command with --resume`);
    }
    throw new DataError(`${path}: no such file; give the folder of a finished run`);
  }
  return parseResults(await readBytes(path), path);
}

function formatsOf(names: readonly string[]): FigureFormat[] {
  const unknown = names.find((name) => !(FIGURE_FORMATS as readonly string[]).includes(name));
  if (unknown !== undefined) throw new ConfigError(`--format ${unknown}: choose among ${FIGURE_FORMATS.join(', ')}`);
  return FIGURE_FORMATS.filter((format) => names.includes(format));
}

function themeOf(name: string): ThemeName {
  const theme = THEME_NAMES.find((each) => each === name);
  if (theme === undefined) throw new ConfigError(`--theme ${name}: choose one of ${THEME_NAMES.join(', ')}`);
  return theme;
}
