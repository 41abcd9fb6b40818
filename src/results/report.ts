/**
 * Writes the report of a run as one HTML file: the outcome in plain words, the pictures with their numbers, the configuration,
 * the command that repeats the run, and what the numbers do not show. The file loads nothing and runs no script; a content
 * security policy enforces this.
 */

import { DataError } from '../errors.ts';
import { binomialInterval, isNearChance } from '../metrics/binomial.ts';
import { isAggregated } from './aggregate.ts';
import { attackTitle } from './attacks.ts';
import { attributionTable } from './attribution.ts';
import { CHEAP, type Comparison, comparisons, costliestMemory, strongestCheap } from './comparisons.ts';
import { conditionKey, isDefended, isErrorFree, isUndefended } from './condition.ts';
import { type FontFile, fontRules } from './figures/font.ts';
import { escapeXml, toBase64 } from './figures/style.ts';
import {
  differenceDigits,
  formatDifference,
  formatDuration,
  formatInterval,
  formatNumber,
  type Table,
} from './format.ts';
import { groupedBy } from './groups.ts';
import { conditionLabel, METRIC_LABELS, privacyText, runTitle } from './labels.ts';
import { membershipLines, membershipTable } from './membership.ts';
import type { Interval, Results, SummaryEntry } from './schema.ts';
import { costTable, ENERGY_NOTE, energyTable, summaryTable } from './tables.ts';

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
  figures: ReportFigure[];
  /** The sheet of reconstructions. */
  reconPng?: Uint8Array;
  /** Default: `runTitle` of the manifest. */
  title?: string;
  /** Caveats of this run, in addition to those that hold for every run. */
  caveats?: string[];
  /** Fonts that are embedded for figures and text; without them the reader's own fonts are used. */
  fonts?: readonly FontFile[];
}

/** Width of an interval of a difference, in PCC, lift or share, from which on it says nothing. */
const UNTOLD = 0.5;

/** Share of real photographs that an evaluator must recognise, or the report warns first. */
const GOOD_EVALUATOR = 0.8;

/**
 * The outcome in plain sentences, for the report and the terminal: per attack the undefended model, the strongest defence that
 * costs little accuracy, and noise of equal accuracy. A sentence names a direction only where the corrected interval of the paired
 * difference excludes zero, and equality only where an equivalence test shows it (src/results/comparisons.ts). Where an evaluator
 * is bad, or the victim recognises nobody, that comes first.
 */
export function headlines(results: Results): string[] {
  const attacks = [...new Set(results.summary.map((entry) => entry.attack))];
  const warnings = [...trainingWarning(results), ...evaluatorWarning(results)];
  const chance = nearChance(results);
  if (chance !== undefined) return [...warnings, chance];
  const compared = comparisons(results);
  const lines = attacks.flatMap((attack) => {
    const entries = results.summary.filter((entry) => entry.attack === attack);
    const base = entries.find((entry) => isUndefended(entry.condition));
    const title = attackTitle(results.manifest.attacks, attack);
    const own = compared.filter((comparison) => comparison.attack === attack);
    return base
      ? [undefendedLine(base, title, results), ...cheapLines(base, entries, own), ...equalAccuracyLines(own, title)]
      : [];
  });
  const meanFace =
    `For scale: the mean face, which shows no particular person, has a PCC of ${formatNumber(results.baselines.meanFacePcc)}, and ` +
    `a photograph of somebody else ${formatNumber(results.baselines.wrongIdentityPcc)}. A PCC near these shows a face, not a person; ` +
    'the lift without the mean face of a picture that shows nobody is 0.';
  return [
    ...warnings,
    ...lines,
    ...membershipLines(results),
    ...unmeasuredLine(results),
    ...singleDrawLine(results),
    meanFace,
  ];
}

function trainingWarning({ manifest: { trainedElsewhere } }: Results): string[] {
  if (!trainedElsewhere) return [];
  return [
    'The victim was given, and whether it has seen the held-out images in its training is not known: its accuracy on them may be that on ' +
      'images it has learned.',
  ];
}

function evaluatorWarning({ manifest: { evaluators } }: Results): string[] {
  if (!evaluators) return [];
  const best = Math.max(evaluators.linear, evaluators.convolutional ?? 0);
  if (best >= GOOD_EVALUATOR) return [];
  return [
    `The evaluators recognise only ${percent(best)} of real photographs: rates of recognition below say little. Give more ` +
      'photographs per person.',
  ];
}

/** A sentence in place of all conclusions, where the accuracy cannot be told from guessing or is at most twice that. */
function nearChance(results: Results): string | undefined {
  const { summary, manifest } = results;
  const base = summary.find(({ condition }) => isUndefended(condition));
  const { classes } = manifest.dataset;
  if (!base || classes === undefined) return undefined;
  const low = isAggregated(results) ? pooledLow(results) : base.accuracy.ci95?.[0];
  if (!isNearChance(base.accuracy.mean, low, classes)) return undefined;
  return (
    `The victim classifies ${percent(base.accuracy.mean)} of the held-out images correctly; guessing would give ` +
    `${percent(1 / classes)}. ` +
    (manifest.trainedElsewhere
      ? 'No conclusions are drawn. See whether the order of its classes and the normalisation of its input are those of its training.'
      : 'It has hardly learned to tell people apart, and no conclusions are drawn. Train it longer (--epochs, --steps).')
  );
}

/** Lower end of the interval of the undefended accuracy over the images of all victims: a few victims give one that says nothing. */
function pooledLow({ rows }: Results): number | undefined {
  const attack = rows.find(({ condition }) => isUndefended(condition))?.attack;
  const own = rows.filter((row) => row.attack === attack && isUndefended(row.condition));
  const answers = own.map(({ correct }) => correct ?? '').join('');
  if (answers === '') return undefined;
  return binomialInterval(answers.replaceAll('0', '').length, answers.length, 0.05)[0];
}

function undefendedLine(base: SummaryEntry, title: string, { manifest }: Results): string {
  const { classes } = manifest.dataset;
  const people = classes === undefined ? '' : ` of ${classes}`;
  return (
    `Undefended, the network classifies ${percent(base.accuracy.mean)} of the held-out images correctly, and the attack ` +
    `“${title}” gives pictures with a PCC of ${formatInterval(base.pcc)} with the right person, a lift of ` +
    `${formatInterval(base.pccLift)} over wrong persons, and ${formatInterval(base.liftMeanFree)} without the mean face. For ` +
    `${share(base.rank1)} of them the right person is the most similar${people}; ${recognition(base, manifest)}`
  );
}

function recognition(entry: SummaryEntry, { evaluators }: Results['manifest']): string {
  const of = (accuracy: number | undefined) =>
    accuracy === undefined ? '' : ` (and ${percent(accuracy)} of real photographs)`;
  const linear = `a linear evaluator recognises ${share(entry.identity)}${of(evaluators?.linear)}`;
  const network =
    entry.top1.mean === null ? '' : `, a convolutional one ${share(entry.top1)}${of(evaluators?.convolutional)}`;
  const flagged =
    entry.flagged.mean === null
      ? ''
      : `; ${share(entry.flagged)} are flagged: they resemble the person less than 97 % of real photographs do`;
  return `${linear}${network}${flagged}.`;
}

function cheapLines(base: SummaryEntry, entries: SummaryEntry[], compared: readonly Comparison[]): string[] {
  const defended = entries.filter(({ condition }) => isDefended(condition));
  if (defended.length === 0) return [];
  const against = ({ condition }: SummaryEntry) => {
    const key = conditionKey(condition);
    return findings(compared.filter(({ kind, first }) => kind === 'undefended' && conditionKey(first) === key));
  };
  const named = (entry: SummaryEntry) =>
    `“${conditionLabel(entry.condition)}” (accuracy ${formatNumber(entry.accuracy.mean)}). Against the undefended model: ${against(entry)}`;
  const cheap = defended.filter((entry) => entry.accuracy.mean >= base.accuracy.mean - CHEAP);
  const best = strongestCheap(entries, base);
  const worst = costliestMemory(entries);
  const none =
    defended.length === 1
      ? 'The one setting tried does not keep'
      : `None of the ${defended.length} settings tried keeps`;
  const lines = best
    ? [
        `Of ${defended.length} settings, ${cheap.length} ${cheap.length === 1 ? 'has' : 'have'} a measured accuracy at most two points lower; the strongest ` +
          `is ${named(best)}`,
      ]
    : [`${none} accuracy within two points.`];
  return worst && worst !== best ? [...lines, `The memory that costs the most accuracy is ${named(worst)}`] : lines;
}

function equalAccuracyLines(compared: readonly Comparison[], title: string): string[] {
  const pairs = groupedBy(
    compared.filter(({ kind }) => kind === 'equal accuracy'),
    ({ first, second }) => `${conditionKey(first)} ${conditionKey(second)}`,
  );
  return [...pairs.values()].map((own) => {
    const { first, second, accuracy } = own[0];
    return (
      `At equal accuracy (${title}): “${conditionLabel(first)}” against “${conditionLabel(second)}” (accuracies ` +
      `${formatNumber(accuracy.first)} and ${formatNumber(accuracy.second)}, differences moved to equal accuracy): ${findings(own)}`
    );
  });
}

const METRIC_IN_TEXT: Readonly<Record<string, string>> = {
  pcc: 'the PCC',
  liftMeanFree: 'the lift without the mean face',
  rank1: 'rank-1 identification',
};

/** One clause per comparison, which claims no more than its test shows. */
function findings(compared: readonly Comparison[]): string {
  if (compared.length === 0) return 'nothing could be compared.';
  return `${compared.map(finding).join('; ')}.`;
}

function finding({ metric, mean, interval, untested, verdict, margin, family }: Comparison): string {
  const name = METRIC_IN_TEXT[metric] ?? METRIC_LABELS[metric];
  if (mean === null || untested === 'unmeasured') return `too little could be measured to compare ${name}`;
  if (untested === 'draws')
    return `${name} differs by ${formatDifference(mean)}, but a single draw or victim cannot show a difference`;
  if (untested === 'accuracy') return `${name} could not be compared, because the accuracies could not be made equal`;
  if (interval === null)
    return `${name} differs by ${formatDifference(mean)}, but a single value cannot show a difference`;
  const [low, high] = interval;
  const digits = differenceDigits(interval);
  const difference = formatDifference(mean, digits);
  const ends = `${formatDifference(low, digits)} to ${formatDifference(high, digits)}`;
  if (verdict === 'lower' || verdict === 'higher') {
    return `${name} is ${verdict} by ${formatNumber(Math.abs(mean))} (${ends}, paired, corrected for ${family} comparisons)`;
  }
  if (verdict === 'equivalent') {
    return `${name} is the same within ±${margin} (equivalence test; difference ${difference}, ${ends})`;
  }
  // An interval this wide says nothing about the attack, only that there are few draws, people or victims.
  const open = high - low > UNTOLD ? 'too few data to tell a difference' : 'no difference shown';
  return `${open} in ${name} (${difference}, ${ends})`;
}

function unmeasuredLine({ summary }: Results): string[] {
  const worst = summary.filter(({ unmeasured }) => unmeasured > 0).sort((a, b) => b.unmeasured - a.unmeasured)[0];
  if (!worst) return [];
  const conditions = new Set(
    summary.flatMap(({ condition, unmeasured }) => (unmeasured > 0 ? [conditionKey(condition)] : [])),
  );
  return [
    `In ${conditions.size} ${conditions.size === 1 ? 'condition' : 'conditions'} some reconstructions could not be measured, most ` +
      `under “${conditionLabel(worst.condition)}” (${worst.unmeasured} by person and draw): the attack got no number from the ` +
      'model, or never moved. They are left out of all means.',
  ];
}

function singleDrawLine({ summary }: Results): string[] {
  const single = summary.some(({ condition, draws }) => !isErrorFree(condition) && draws === 1);
  if (!single) return [];
  return [
    'The errors were drawn once: how much another draw would differ is not known, so no intervals are given for them. Measure ' +
      'more draws (--draws).',
  ];
}

function share({ mean, ci95 }: Interval): string {
  if (mean === null) return 'not measured';
  return ci95 === null ? percent(mean) : `${percent(mean)} [${percent(ci95[0])}, ${percent(ci95[1])}]`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/**
 * The report as one HTML document.
 *
 * @throws DataError where a figure is not an SVG
 */
export function reportHtml(options: ReportOptions): string {
  const { results, figures, reconPng } = options;
  const { manifest, baselines } = results;
  const title = options.title ?? runTitle(manifest);

  const figureHtml = figures.map((figure) => {
    if (!figure.svg.startsWith('<svg')) throw new DataError(`report: figure '${figure.name}' is not an SVG`);
    return `<figure id="figure-${escapeXml(figure.name.replace(/\W+/g, '-'))}">
<div class="picture">${figure.svg}</div>
<figcaption>${escapeXml(figure.caption)}</figcaption>
<details><summary>The numbers behind this figure</summary>${tableHtml(figure.table ?? summaryTable(results))}</details>
</figure>`;
  });
  const reconHtml = reconPng
    ? `<section aria-labelledby="pictures"><h2 id="pictures">What the attack reconstructs</h2>
<figure><div class="picture"><img alt="Reconstructions: one row per condition, the truth on top, one column per person" src="data:image/png;base64,${toBase64(reconPng)}"></div>
<figcaption>One row per condition, the truth on top, one column per person.</figcaption></figure></section>`
    : '';
  const costs = costTable(results);
  const energy = energyTable(results);
  const memberships = membershipTable(results);
  const parts = attributionTable(results);
  const clone = manifest.command.replace(/^midas /, 'npm run midas -- ');

  const html = (rules: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'${rules === '' ? '' : '; font-src data:'}">
<meta name="color-scheme" content="light dark">
<title>${escapeXml(title)}</title>
<style>${rules}${CSS}</style>
</head>
<body>
<header>
<h1>${escapeXml(title)}</h1>
<p class="lede"><code>${escapeXml(manifest.command)}</code><br>${escapeXml(manifest.started)}, ${escapeXml(formatDuration(manifest.seconds))}, ${results.rows.length} rows, ${seedsOf(results)}</p>
</header>
<main>
<section aria-labelledby="short"><h2 id="short">In short</h2>
<ul class="headlines">${headlines(results)
    .map((line) => `<li>${escapeXml(line)}</li>`)
    .join('\n')}</ul>
<p class="note">PCC: Pearson correlation of a reconstruction with the person’s photographs, 1 for the same picture. Lift: that PCC minus the mean PCC of the same reconstruction with wrong persons. Without the mean face: after the part of both pictures that the mean face explains was removed. In brackets: 95 % intervals over ${isAggregated(results) ? 'victims' : 'draws'} and people; rates that share nested draws are correlated.</p>
</section>
${reconHtml}
${figures.length > 0 ? `<section aria-labelledby="figures"><h2 id="figures">Figures</h2>\n${figureHtml.join('\n')}\n</section>` : ''}
<section aria-labelledby="baselines"><h2 id="baselines">Baselines</h2>
<p>PCC of pictures that do not depend on the person:</p>
${tableHtml({
  columns: ['Baseline', 'PCC'],
  rows: [
    ['The mean face', formatNumber(baselines.meanFacePcc)],
    ['A photograph of somebody else', formatNumber(baselines.wrongIdentityPcc)],
    ['Reconstructions compared with wrong persons', formatNumber(baselines.shuffledPcc)],
  ],
})}
</section>
${energy ? `<section aria-labelledby="energy"><h2 id="energy">Energy and time of reads</h2>\n${tableHtml(energy)}\n<p class="note">${escapeXml(ENERGY_NOTE)}</p>\n</section>` : ''}
${costs ? `<section aria-labelledby="costs"><h2 id="costs">Cost of the attacks</h2>\n${tableHtml(costs)}\n</section>` : ''}
${memberships ? `<section aria-labelledby="membership"><h2 id="membership">Membership inference</h2>\n${tableHtml(memberships)}\n</section>` : ''}
${parts ? `<section aria-labelledby="parts"><h2 id="parts">Which errors do the work</h2>\n${tableHtml(parts)}\n<p class="note">Changes from the model without errors, divided by that of all the errors. Each part was measured alone: shares need not add up to 100 %.</p>\n</section>` : ''}
<section aria-labelledby="conditions"><h2 id="conditions">All conditions</h2>
${figures.length > 0 ? `<details><summary>${results.summary.length} conditions and attacks</summary>${tableHtml(summaryTable(results))}</details>` : tableHtml(summaryTable(results))}
</section>
<section aria-labelledby="run"><h2 id="run">What was run</h2>
<dl>
${[
  ['Command', manifest.command],
  ['Version', manifest.version],
  [isAggregated(results) ? 'Seeds' : 'Seed', isAggregated(results) ? results.seeds.join(', ') : String(manifest.seed)],
  ['Adapter', manifest.adapter],
  ['Data', manifest.dataset.name],
  ['Data, SHA-256', manifest.dataset.sha256],
  ['Split', manifest.dataset.split],
  ...(manifest.privacy ? [['Privacy', privacyText(manifest.privacy)]] : []),
  ['Started', manifest.started],
  ['Time', formatDuration(manifest.seconds)],
]
  .map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeXml(value)}</dd></div>`)
  .join('\n')}
</dl>
<details><summary>Configuration</summary><pre>${escapeXml(JSON.stringify(manifest.config, null, 2))}</pre></details>
</section>
<section aria-labelledby="repeat"><h2 id="repeat">Run it again</h2>
<pre>${escapeXml(manifest.command)}</pre>
${clone === manifest.command ? '' : `<p>From a clone of the repository:</p>\n<pre>${escapeXml(clone)}</pre>`}
<p>The same seed on the same adapter gives the same bits. On another adapter the bit errors are the same and the other numbers agree within rounding. The numbers of this page are also in <code>results.json</code> and <code>results.csv</code> in the same folder.</p>
</section>
<section aria-labelledby="caveats"><h2 id="caveats">What these numbers do not say</h2>
<ul>${[...caveatsOf(results), ...(options.caveats ?? [])].map((line) => `<li>${escapeXml(line)}</li>`).join('\n')}</ul>
</section>
</main>
</body>
</html>
`;
  const plain = html('');
  // The fonts are reduced to the characters of the page; base64 pictures add none that its text lacks.
  return options.fonts ? html(fontRules(options.fonts, plain)) : plain;
}

function seedsOf(results: Results): string {
  if (!isAggregated(results)) return `seed ${results.manifest.seed}`;
  return `seeds ${results.seeds.slice(0, -1).join(', ')} and ${results.seeds.at(-1)}`;
}

function caveatsOf(results: Results): string[] {
  const noisy = results.summary.filter(({ condition }) => !isErrorFree(condition));
  const fewest = Math.min(...noisy.map((entry) => entry.draws));
  const smallest = Math.min(
    ...results.rows.flatMap(({ membership, perIdentity }) => (membership ? [] : [perIdentity.pcc.length])),
  );
  return [
    'A low PCC alone does not prove privacy: it also falls when only similarity to faces in general is lost, while the person may remain as recognisable as before. Read it together with the lift and the matcher.',
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
    ...(/synth|procedural|embedded/i.test(results.manifest.dataset.name)
      ? [
          'The faces are procedural: they show how attacks and defences behave, not how much real photographs would leak.',
        ]
      : []),
    'Interpolated values assume a straight line between two settings that were run.',
  ];
}

function tableHtml({ columns, rows }: Table): string {
  const head = columns.map((name) => `<th scope="col">${escapeXml(name)}</th>`).join('');
  const body = rows.map((row) => {
    const [first, ...rest] = row.map((cell) => escapeXml(String(cell)));
    return `<tr><th scope="row">${first}</th>${rest.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return `<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}

const CSS = `
:root { --paper: #ffffff; --ink: #1a1a1a; --soft: #5a5a5a; --line: #dcdcdc; --card: #f6f6f4; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e8e8e6; --soft: #a8abb0; --line: #36393e; --card: #1f2226; --accent: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 Inter, system-ui, 'Helvetica Neue', Arial, sans-serif; }
header, main { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 48px; }
main { padding-bottom: 80px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 12px; text-wrap: balance; }
h2 { font-size: 1.3rem; margin: 48px 0 12px; padding-top: 20px; border-top: 1px solid var(--line); }
p, li { max-width: 78ch; }
.lede, .note, figcaption { color: var(--soft); }
.note, figcaption { font-size: 0.9rem; }
.headlines li { margin: 0 0 10px; }
.headlines li::marker { color: var(--accent); }
code, pre { font: 0.88em/1.5 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; white-space: pre-wrap; }
figure { margin: 0 0 36px; }
.picture { background: #ffffff; border: 1px solid var(--line); border-radius: 10px; overflow-x: auto; }
.picture > svg, .picture > img { display: block; max-width: 100%; min-width: 640px; height: auto; margin: 0 auto; }
figcaption { margin: 10px 4px; max-width: 90ch; }
details { margin: 8px 0; }
summary { cursor: pointer; color: var(--accent); width: fit-content; }
summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.scroll { overflow: auto; max-height: 70vh; margin: 10px 0; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
th { font-weight: 500; }
tbody th { min-width: 14em; }
thead th { font-weight: 600; position: sticky; top: 0; background: var(--paper); }
dl { margin: 0; }
dl > div { display: grid; grid-template-columns: 150px 1fr; gap: 12px; padding: 4px 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media print { .scroll { max-height: none; } body { font-size: 11pt; } }
`;
