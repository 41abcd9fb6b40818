/** The summary as a table for papers. */
import type { AggregatedEntry } from './aggregate.ts';
import { attackTitle } from './attacks.ts';
import { conditionLabel } from './labels.ts';
import type { Metric } from './metrics.ts';
import type { AttackDescription, Interval, SummaryEntry } from './schema.ts';

export interface LatexOptions {
  /** Columns; default: accuracy, similarity, identification and recognition, where they were measured. */
  readonly metrics?: readonly Metric[];
  /** Titles of the attacks. */
  readonly attacks?: readonly AttackDescription[];
  /** With a caption or a label the table floats. */
  readonly caption?: string;
  readonly label?: string;
}

const COLUMNS: readonly Metric[] = ['accuracy', 'pcc', 'pccLift', 'liftMeanFree', 'rank1', 'top1', 'flagged'];

const HEADINGS: Record<Metric, string> = {
  accuracy: 'Accuracy',
  pcc: 'PCC',
  pccLift: 'PCC lift',
  mse: 'MSE',
  psnr: 'PSNR (dB)',
  ssim: 'SSIM',
  identity: 'Recognised (linear)',
  pccMeanFree: 'PCC, mean-free',
  liftMeanFree: 'Lift, mean-free',
  rank1: 'Rank-1',
  rank5: 'Rank-5',
  auc: 'AUC',
  pccOther: 'PCC, other photographs',
  liftOther: 'Lift, other photographs',
  pccMeanFreeOther: 'PCC, mean-free, other photographs',
  liftMeanFreeOther: 'Lift, mean-free, other photographs',
  top1: 'Top-1',
  top5: 'Top-5',
  featureDistance: 'Feature distance',
  flagged: 'Flagged',
};

/**
 * A LaTeX table for the package `booktabs`, with one line per condition and attack, and each metric with its 95 % interval.
 * There is a column for the attack if there are several, and one for the number of seeds if entries are aggregated.
 */
export function latexTable(summary: readonly (SummaryEntry | AggregatedEntry)[], options: LatexOptions = {}): string {
  const { attacks, caption, label } = options;
  const metrics = options.metrics ?? COLUMNS.filter((metric) => summary.some((entry) => entry[metric].mean !== null));
  const several = new Set(summary.map(({ attack }) => attack)).size > 1;
  const seeds = summary.some((entry) => 'seeds' in entry);
  const columns = ['Condition', ...(several ? ['Attack'] : []), ...(seeds ? ['Seeds'] : []), 'Draws'];
  const lines = summary.map((entry) => [
    escapeLatex(conditionLabel(entry.condition)),
    ...(several ? [escapeLatex(attackTitle(attacks, entry.attack))] : []),
    ...(seeds ? [String('seeds' in entry ? entry.seeds : 1)] : []),
    String(entry.draws),
    ...metrics.map((metric) => intervalCell(entry[metric], metric === 'psnr' ? 1 : 3)),
  ]);
  const alignment = `${several ? 'll' : 'l'}${seeds ? 'r' : ''}r${'l'.repeat(metrics.length)}`;
  const tabular = [
    `\\begin{tabular}{${alignment}}`,
    '\\toprule',
    `${[...columns, ...metrics.map((metric) => HEADINGS[metric])].join(' & ')} \\\\`,
    '\\midrule',
    ...lines.map((cells) => `${cells.join(' & ')} \\\\`),
    '\\bottomrule',
    '\\end{tabular}',
  ];
  const floating = [
    '\\begin{table}',
    '\\centering',
    ...(caption === undefined ? [] : [`\\caption{${escapeLatex(caption)}}`]),
    ...(label === undefined ? [] : [`\\label{${label.replace(/[^\w:.-]/g, '-')}}`]),
    ...tabular,
    '\\end{table}',
  ];
  const table = caption === undefined && label === undefined ? tabular : floating;
  return `${['% Needs \\usepackage{booktabs}. In brackets: 95 % confidence intervals.', ...table].join('\n')}\n`;
}

/** The mean with its interval, if there is one. Math mode typesets the minus sign correctly. */
function intervalCell({ mean, ci95 }: Interval, digits: number): string {
  const number = (value: number) => `$${value.toFixed(digits)}$`;
  if (mean === null) return 'not measured';
  return ci95 === null ? number(mean) : `${number(mean)} [${number(ci95[0])}, ${number(ci95[1])}]`;
}

const ESCAPES: Record<string, string> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '<': '\\textless{}',
  '>': '\\textgreater{}',
  '|': '\\textbar{}',
  '"': '\\textquotedbl{}',
  '−': '$-$',
};

/** Escapes text for LaTeX; white space, line feeds included, becomes one space. */
export function escapeLatex(text: string): string {
  return text
    .replace(/[\\~^<>|"−&%$#_{}]/g, (character) => ESCAPES[character] ?? `\\${character}`)
    .replace(/\s+/g, ' ');
}
