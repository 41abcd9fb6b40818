/**
 * Writes the report of a run as one HTML file. First the verdict with the faces, the curve and the table that show it, then how it was
 * measured, every comparison and figure, and the configuration and the command that repeat the run. The file loads nothing and
 * runs no script; a content security policy enforces this.
 */

import { DataError } from '../errors.ts';
import { isAggregated } from './aggregate.ts';
import { attacksOf, attackTitle } from './attacks.ts';
import { attributionTable } from './attribution.ts';
import { singleDrawLine, unmeasuredLine } from './cautions.ts';
import { comparisons } from './comparisons.ts';
import { isErrorFree } from './condition.ts';
import { type FontFile, fontRules } from './figures/font.ts';
import { escapeXml } from './figures/style.ts';
import { formatDuration, formatNumber, type Table } from './format.ts';
import { METRIC_LABELS, privacyText, runTitle, victimTitleOf } from './labels.ts';
import { membershipLines, membershipTable } from './membership.ts';
import { facesHtml, type ReportFaces, tableHtml, termsHtml, verdictTableHtml } from './report_parts.ts';
import { REPORT_STYLE } from './report_style.ts';
import type { Manifest, Results } from './schema.ts';
import {
  comparisonTable,
  costTable,
  ENERGY_NOTE,
  energyTable,
  summaryTable,
  WORST_CASE_NOTE,
  worstCaseTable,
} from './tables.ts';
import { intervalNote, type Verdict, verdictOf } from './verdict.ts';

/** What a reader who has never seen a report must know first. */
function introduction({ classes }: Manifest['dataset']): string {
  const person = classes === undefined ? 'a person' : `one of ${classes} people`;
  const guess = classes === undefined ? '' : `; a guess is right once in ${classes}`;
  return (
    'Approximate memory saves energy and returns some bits wrong. It was proposed to keep a network there on purpose: an attacker who ' +
    'reconstructs the people whom it was trained on would then see less of them. Its owner pays with wrong answers. ' +
    `An independent evaluator, a second network, names ${person} for every picture${guess}.`
  );
}

export interface ReportFigure {
  /** Name of its file, without the extension: 'curve'. */
  name: string;
  /** The figure as SVG, from the folder `figures`. */
  svg: string;
  caption: string;
  /** The numbers of the figure; default: the summary of all conditions. */
  table?: Table;
}

export interface ReportOptions {
  results: Results;
  /** The first one stands beside the verdict. */
  figures: ReportFigure[];
  /** The faces that decide the verdict. */
  faces?: ReportFaces;
  /** Default: `runTitle` of the manifest. */
  title?: string;
  /** Caveats of this run, in addition to those that hold for every run. */
  caveats?: string[];
  /** Fonts that are embedded for figures and text; without them the reader's own fonts are used. */
  fonts?: readonly FontFile[];
}

/**
 * The report as one HTML document.
 *
 * @throws DataError where a figure is not an SVG
 */
export function reportHtml(options: ReportOptions): string {
  const { results, figures, faces } = options;
  const { manifest } = results;
  const title = options.title ?? runTitle(manifest);
  const verdict = verdictOf(results);
  const [curve, ...others] = figures.map((figure) => figureHtml(figure, results));
  const body = unbroken(`${verdictSection(verdict, results, faces, curve)}
${methodsSection(verdict, results, options.caveats ?? [])}
${comparisonSection(verdict, results)}
${others.length > 0 ? section('figures', 'Further figures', others.join('\n')) : ''}
${furtherTables(results)}
${runSection(results)}
${repeatSection(manifest.command)}`);

  const html = (rules: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'${rules === '' ? '' : '; font-src data:'}">
<meta name="color-scheme" content="light dark">
<title>${escapeXml(title)}</title>
<style>${rules}${REPORT_STYLE}</style>
</head>
<body>
<header>
<p class="lede">${escapeXml(title)}</p>
<h1>${escapeXml(verdict.question)}</h1>
<p class="lede">${introduction(manifest.dataset)}</p>
</header>
<main>
${body}
</main>
</body>
</html>
`;
  const plain = html('');
  // The fonts are reduced to the characters of the page; base64 pictures add none that its text lacks.
  return options.fonts ? html(fontRules(options.fonts, plain)) : plain;
}

/** Keeps a number and its unit on one line. */
function unbroken(html: string): string {
  return html.replace(/(?<=\d) (?=%)/g, '\u00a0');
}

function section(id: string, title: string, content: string): string {
  return `<section aria-labelledby="${id}"><h2 id="${id}">${escapeXml(title)}</h2>\n${content}\n</section>`;
}

function listHtml(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `<ul>${lines.map((line) => `<li>${escapeXml(line)}</li>`).join('\n')}</ul>`;
}

function factsHtml(facts: readonly (readonly [name: string, value: string])[]): string {
  const lines = facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeXml(value)}</dd></div>`);
  return `<dl>\n${lines.join('\n')}\n</dl>`;
}

function figureHtml(figure: ReportFigure, results: Results): string {
  if (!figure.svg.startsWith('<svg')) throw new DataError(`report: figure '${figure.name}' is not an SVG`);
  return `<figure id="figure-${escapeXml(figure.name.replace(/\W+/g, '-'))}">
<div class="picture">${figure.svg}</div>
<figcaption>${escapeXml(figure.caption)}</figcaption>
<details><summary>The numbers behind this figure</summary>${tableHtml(figure.table ?? summaryTable(results))}</details>
</figure>`;
}

function verdictSection(
  { answer, notes, table }: Verdict,
  results: Results,
  faces: ReportFaces | undefined,
  curve: string | undefined,
): string {
  const parts = [
    `<p class="answer">${escapeXml(answer)}</p>`,
    ...notes.map((note) => `<p>${escapeXml(note)}</p>`),
    faces ? facesHtml(faces) : '',
    curve?.replace('class="picture"', 'class="picture curve"') ?? '',
    table ? `${verdictTableHtml(table)}\n<p class="note">${escapeXml(intervalNote(results, table))}</p>` : '',
  ];
  return section('verdict', 'Verdict', parts.filter((part) => part !== '').join('\n'));
}

function methodsSection({ table }: Verdict, results: Results, caveats: readonly string[]): string {
  const { manifest, summary } = results;
  const { classes } = manifest.dataset;
  const victim = victimTitleOf(manifest);
  const draws = summary.flatMap((entry) => (isErrorFree(entry.condition) ? [] : [entry.draws]));
  const [fewest, most] = [Math.min(...draws), Math.max(...draws)];
  const facts: [string, string][] = [
    [
      'Victim',
      `${victim[0].toUpperCase()}${victim.slice(1)}${classes === undefined ? '' : `, which tells ${classes} people apart`}`,
    ],
    ['Data', `${manifest.dataset.name}; ${manifest.dataset.split}`],
    ...attacksOf(results).map((name): [string, string] => [
      'Attack',
      `${attackTitle(manifest.attacks, name)}${name === table?.attack ? ', which is recognised most often without a defence: the verdict is about it' : ''}`,
    ]),
    ...(table ? [['Evaluator', evaluatorText(table.metric, results)] as [string, string]] : []),
    ...(draws.length > 0
      ? [['Draws', fewest === most ? String(most) : `${fewest} to ${most}`] as [string, string]]
      : []),
    ...(manifest.privacy ? [['Privacy', privacyText(manifest.privacy)] as [string, string]] : []),
  ];
  const tests =
    'A direction is claimed only where the corrected interval of the paired difference excludes zero, equality only where an ' +
    'equivalence test shows it; everything else is “no difference shown”. Settings were chosen by their accuracy, never by what they hide.';
  const said = [...caveatsOf(results), ...caveats];
  const lines = [...unmeasuredLine(results), ...singleDrawLine(results)];
  const text = [...facts.flat(), ...said, tests, comparisonTable(comparisons(results), results).columns.join(' ')].join(
    '\n',
  );
  return section(
    'methods',
    'How it was measured',
    `${factsHtml(facts)}
<p>${tests}</p>
${listHtml([...(table ? membershipLines(results) : []), ...lines])}
<h3 id="caveats">What these numbers do not say</h3>
${listHtml(said)}
${termsHtml(text)}`,
  );
}

function evaluatorText(metric: NonNullable<Verdict['table']>['metric'], { manifest: { evaluators } }: Results): string {
  const known = { identity: evaluators?.linear, top1: evaluators?.convolutional, rank1: undefined }[metric];
  const label = {
    identity: 'The linear evaluator',
    top1: 'The convolutional evaluator',
    rank1: METRIC_LABELS.rank1,
  }[metric];
  return known === undefined
    ? label
    : `${label}, which recognises ${formatNumber(100 * known, 1)} % of real photographs`;
}

function comparisonSection({ table }: Verdict, results: Results): string {
  const further = comparisons(results);
  const tables = [
    ...(table && table.comparisons.length > 0
      ? ['<h3>Of the verdict</h3>', tableHtml(comparisonTable(table.comparisons, results))]
      : []),
    ...(further.length > 0
      ? ['<h3>Of similarity and identification</h3>', tableHtml(comparisonTable(further, results))]
      : []),
  ];
  if (tables.length === 0) return '';
  const note = 'Each of the two families is corrected for its own number of comparisons.';
  return section('comparisons', 'Every comparison', `${tables.join('\n')}\n<p class="note">${note}</p>`);
}

function furtherTables(results: Results): string {
  const { baselines } = results;
  const baseline = tableHtml({
    columns: ['Baseline', 'PCC'],
    rows: [
      ['The mean face', formatNumber(baselines.meanFacePcc)],
      ['A photograph of somebody else', formatNumber(baselines.wrongIdentityPcc)],
      ['Reconstructions compared with wrong persons', formatNumber(baselines.shuffledPcc)],
    ],
  });
  const scale =
    'PCC of pictures that do not depend on the person. A PCC near these shows a face, not a person; the lift without the mean face of a ' +
    'picture that shows nobody is 0.';
  const energy = energyTable(results);
  const costs = costTable(results);
  const memberships = membershipTable(results);
  const parts = attributionTable(results);
  const worst = worstCaseTable(results);
  const shared =
    'Changes from the model without errors, divided by that of all the errors. Each part was measured alone: shares need not add up to 100 %.';
  const intervals = `In brackets: 95 % intervals over ${isAggregated(results) ? 'victims' : 'draws'} and people; rates that share nested draws are correlated.`;
  const all = `<details><summary>${results.summary.length} conditions and attacks</summary>${tableHtml(summaryTable(results))}</details>`;
  return [
    section('baselines', 'Baselines', `<p>${scale}</p>\n${baseline}`),
    energy
      ? section(
          'energy',
          'Energy and time of reads',
          `${tableHtml(energy)}\n<p class="note">${escapeXml(ENERGY_NOTE)}</p>`,
        )
      : '',
    worst
      ? section('worst', 'The worst of all attackers', `${tableHtml(worst)}\n<p class="note">${WORST_CASE_NOTE}</p>`)
      : '',
    costs ? section('costs', 'Cost of the attacks', tableHtml(costs)) : '',
    memberships ? section('membership', 'Membership inference', tableHtml(memberships)) : '',
    parts ? section('parts', 'Which errors do the work', `${tableHtml(parts)}\n<p class="note">${shared}</p>`) : '',
    section('conditions', 'All conditions', `<p class="note">${intervals}</p>\n${all}`),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function runSection(results: Results): string {
  const { manifest } = results;
  const facts = factsHtml([
    ['Version', manifest.version],
    [
      isAggregated(results) ? 'Seeds' : 'Seed',
      isAggregated(results) ? results.seeds.join(', ') : String(manifest.seed),
    ],
    ['Adapter', manifest.adapter],
    ['Data, SHA-256', manifest.dataset.sha256],
    ['Started', manifest.started],
    ['Time', formatDuration(manifest.seconds)],
  ]);
  const config = escapeXml(JSON.stringify(manifest.config, null, 2));
  return section(
    'run',
    'What was run',
    `${facts}\n<details><summary>Configuration</summary><pre>${config}</pre></details>`,
  );
}

function repeatSection(command: string): string {
  const clone = command.replace(/^midas /, 'npm run midas -- ');
  return section(
    'repeat',
    'Run it again',
    `<pre>${escapeXml(command)}</pre>
${clone === command ? '' : `<p>From a clone of the repository:</p>\n<pre>${escapeXml(clone)}</pre>`}
<p>The same seed on the same adapter gives the same bits. On another adapter the bit errors are the same and the other numbers agree within rounding. The numbers of this page are also in <code>results.json</code> and <code>results.csv</code> in the same folder.</p>`,
  );
}

function caveatsOf(results: Results): string[] {
  const noisy = results.summary.filter(({ condition }) => !isErrorFree(condition));
  const fewest = Math.min(...noisy.map((entry) => entry.draws));
  const smallest = Math.min(
    ...results.rows.flatMap(({ membership, perIdentity }) => (membership ? [] : [perIdentity.pcc.length])),
  );
  return [
    'A low PCC alone does not prove privacy: it also falls when only similarity to faces in general is lost, while the person may remain as recognisable as before. Read it together with the lift and the recognition.',
    'An attacker who knows about the errors may do better than one who does not, by training on the network with errors, by averaging repeated queries, or by correcting the confidences. Only the attacks named here were run.',
    ...(noisy.length > 0 && fewest < 5
      ? [
          fewest === 1
            ? 'Some conditions have a single draw of the errors: their intervals do not include the variation between draws.'
            : `Some conditions have only ${fewest} draws of the errors: their intervals are rough.`,
        ]
      : []),
    ...(isAggregated(results) && results.seeds.length < 5
      ? [`There are only ${results.seeds.length} seeds: the intervals over seeds are rough.`]
      : []),
    ...(smallest < 30 ? [`Some rows average as few as ${smallest} identities.`] : []),
    ...(comparisons(results).some(({ kind }) => kind === 'equal accuracy')
      ? [
          'Noise that was calibrated to the accuracy of bit errors misses it a little. Differences at equal accuracy are moved there along ' +
            'the line that the measure follows over the accuracy.',
        ]
      : []),
  ];
}
