/**
 * The verdict of a run, for terminal, report and page: what the owner of the model loses, what the attacker loses, and whether
 * noise that costs as much accuracy does the same. It is made from the rows of the run, in words that claim no more than tests show: a
 * direction only where the corrected interval of the paired difference excludes zero, equality only after an equivalence test. Accuracy
 * and recognition are one family of comparisons of their own (src/results/comparisons.ts).
 */
import { isAggregated } from './aggregate.ts';
import { attacksOf } from './attacks.ts';
import { nearChance, trainingWarning, weakEvaluator } from './cautions.ts';
import {
  CHEAP,
  type Comparison,
  costliestMemory,
  equalAccuracyPairs,
  type Pair,
  strongestCheap,
  tested,
} from './comparisons.ts';
import { conditionKey, isDefended, isNoise, isUndefended } from './condition.ts';
import { formatDifference, formatNumber } from './format.ts';
import { conditionLabel, victimTitleOf } from './labels.ts';
import { membershipLines } from './membership.ts';
import type { Condition, Results, SummaryEntry } from './schema.ts';

/** Measures of recognition, the most independent of the attack first. */
const RECOGNITION = ['top1', 'identity', 'rank1'] as const;
export type Recognition = (typeof RECOGNITION)[number];

/** One condition of a verdict. */
export interface VerdictRow {
  readonly condition: Condition;
  /** Mean accuracy on held-out images, 0..1. */
  readonly accuracy: number;
  /** Mean share of the attacker's pictures on which the evaluator recognises the right person, 0..1; null if not measured. */
  readonly recognised: number | null;
  /** Difference of the accuracy to the undefended model, in words; empty for that model, and for noise. */
  readonly owner: string;
  /** Difference of the recognition to the undefended model, for noise to the errors of equal accuracy, in words. */
  readonly attacker: string;
}

/** The rows of a verdict, and what they mean. */
export interface VerdictTable {
  /** Name of the attack: the one whose pictures of the undefended model are recognised most often. */
  readonly attack: string;
  readonly metric: Recognition;
  /** Number of pictures in every draw. */
  readonly pictures: number;
  /** The undefended model first, then at most two settings, noise, and one more setting, by increasing loss. */
  readonly rows: readonly [VerdictRow, ...VerdictRow[]];
  /** The setting that the answer names; undefined if there is none. */
  readonly decisive: VerdictRow | undefined;
  /** The tested differences. */
  readonly comparisons: readonly Comparison[];
}

export interface Verdict {
  readonly question: string;
  /** One sentence. */
  readonly answer: string;
  /** Further sentences: on noise of equal accuracy, and warnings. */
  readonly notes: readonly string[];
  /** Undefined if nothing was reconstructed, or if the victim is near chance. */
  readonly table: VerdictTable | undefined;
}

/** The verdict of a run, or of several that are aggregated. */
export function verdictOf(results: Results): Verdict {
  const question = questionOf(results);
  const warnings = [...trainingWarning(results), ...weakEvaluator(results)];
  const chance = nearChance(results);
  if (chance !== undefined) return { question, answer: chance, notes: warnings, table: undefined };
  const found = settingsOf(results);
  if (!found) {
    const [answer = 'The attack could not be measured on the undefended model.', ...rest] = membershipLines(results);
    return { question, answer, notes: [...rest, ...warnings], table: undefined };
  }
  const { base, metric, settings, noise } = found;
  const compared = testedOf(results, metric, settings, noise);
  const of = (kind: Comparison['kind'], entry: SummaryEntry, name: Comparison['metric']) =>
    compared.find(
      (each) =>
        each.kind === kind &&
        each.metric === name &&
        (name === 'accuracy' || each.attack === base.attack) &&
        conditionKey(each.first) === conditionKey(entry.condition),
    );
  const rowOf = (entry: SummaryEntry, owner?: Comparison, attacker?: string): VerdictRow => ({
    condition: entry.condition,
    accuracy: entry.accuracy.mean,
    recognised: entry[metric].mean,
    owner: owner ? inWords(owner) : '',
    attacker: attacker ?? '',
  });
  const measuredSettings = settings.map((entry): Setting => {
    const owner = of('undefended', entry, 'accuracy');
    const attacker = of('undefended', entry, metric);
    return { row: rowOf(entry, owner, attacker && inWords(attacker)), owner, attacker };
  });
  const againstNoise = noise && of('equal accuracy', noise.first, metric);
  const rows = measuredSettings.flatMap(({ row }, i) =>
    noise && againstNoise && settings[i] === noise.first
      ? [
          row,
          rowOf(noise.second, undefined, `${inWords(opposite(againstNoise))}, against the errors of equal accuracy`),
        ]
      : [row],
  );
  const pictures = results.rows.find(({ attack }) => attack === base.attack)?.perIdentity.pcc.length ?? base.n;
  const undefended = { row: rowOf(base), metric, pictures };
  const { sentence, decisive } = answerOf(measuredSettings, base, undefended, results);
  const notes = [
    ...(againstNoise ? [noiseSentence(againstNoise)] : []),
    ...(settings.length > 0 && settings[0].accuracy.mean < base.accuracy.mean - CHEAP
      ? ['Every setting that was measured costs more than two of 100 points of accuracy.']
      : []),
    ...warnings,
  ];
  const table = { attack: base.attack, metric, pictures, rows: [undefended.row, ...rows] as const };
  return { question, answer: sentence, notes, table: { ...table, decisive: decisive?.row, comparisons: compared } };
}

function questionOf({ manifest, summary }: Results): string {
  const kinds = new Set(summary.map(({ condition }) => condition.kind));
  const what = kinds.has('bit-error') || kinds.has('memory') ? 'approximate memory' : 'the defence';
  return `Does ${what} hide the people whom ${victimTitleOf(manifest)} was trained on, and what does it cost?`;
}

/** What a verdict is about. */
export interface VerdictSettings {
  /** The undefended model under the attack whose pictures of it are recognised most often. */
  readonly base: SummaryEntry;
  readonly metric: Recognition;
  /** By falling accuracy. */
  readonly settings: readonly SummaryEntry[];
  /** Errors, which are one of the settings, and noise of the same accuracy. */
  readonly noise?: Pair;
}

/** The conditions that a verdict compares; undefined if nothing was measured without a defence. */
export function settingsOf(results: Results): VerdictSettings | undefined {
  const measured = measuredBase(results);
  if (!measured) return undefined;
  const entries = results.summary.filter(({ attack }) => attack === measured.base.attack);
  return { ...measured, ...chosen(entries, measured.base) };
}

/** The attack whose pictures of the undefended model are recognised most often. All attacks are part of the family that is corrected. */
function measuredBase({ summary }: Results): { base: SummaryEntry; metric: Recognition } | undefined {
  const bases = summary.filter(({ condition }) => isUndefended(condition));
  const metric = RECOGNITION.find((each) => bases.some((entry) => entry[each].mean !== null));
  if (!metric) return undefined;
  const recognised = (entry: SummaryEntry) => entry[metric].mean ?? -1;
  return { base: bases.reduce((best, entry) => (recognised(entry) > recognised(best) ? entry : best)), metric };
}

/**
 * The settings of a verdict, by falling accuracy: the strongest memory that costs at most two points of accuracy, otherwise the one
 * that costs the least; one halfway to the memory that costs the most; and that one. They are chosen by their accuracies only.
 */
function chosen(entries: readonly SummaryEntry[], base: SummaryEntry): { settings: SummaryEntry[]; noise?: Pair } {
  const defended = entries.filter(({ condition }) => isDefended(condition));
  const memories = defended.filter(({ condition }) => !isNoise(condition));
  const candidates = memories.length > 0 ? memories : defended;
  if (candidates.length === 0) return { settings: [] };
  const worst =
    costliestMemory(entries) ?? candidates.reduce((a, b) => (b.accuracy.mean < a.accuracy.mean ? b : a), candidates[0]);
  const pairs = equalAccuracyPairs(entries, base, base.attack);
  const noise = pairs.find(({ first }) => first.condition.layers === worst.condition.layers) ?? pairs[0];
  const middle = (base.accuracy.mean + worst.accuracy.mean) / 2;
  const distance = ({ accuracy }: SummaryEntry) => Math.abs(accuracy.mean - middle);
  const moderate = noise?.first ?? candidates.reduce((a, b) => (distance(b) < distance(a) ? b : a));
  const mildest = candidates.reduce((a, b) => (b.accuracy.mean > a.accuracy.mean ? b : a));
  const settings = [...new Set([strongestCheap(candidates, base) ?? mildest, moderate, worst])];
  return { settings: settings.sort((a, b) => b.accuracy.mean - a.accuracy.mean), noise };
}

/** The family of a verdict. Every attack is in it, because the one that is shown was chosen by its success. */
function testedOf(
  results: Results,
  metric: Recognition,
  settings: readonly SummaryEntry[],
  noise?: Pair,
): Comparison[] {
  const keys = new Set(settings.map(({ condition }) => conditionKey(condition)));
  const wanted = attacksOf(results).flatMap((attack, i) => {
    const entries = results.summary.filter((entry) => entry.attack === attack);
    const base = entries.find(({ condition }) => isUndefended(condition));
    if (!base) return [];
    const pairs = entries
      .filter(({ condition }) => keys.has(conditionKey(condition)))
      .map((first): Pair => ({ kind: 'undefended', attack, first, second: base }));
    return [
      // All attacks are on the same victims, whose accuracy is the same.
      ...(i === 0 ? pairs.map((pair) => ({ pair, metric: 'accuracy' as const })) : []),
      ...pairs.map((pair) => ({ pair, metric })),
      ...(noise ? [{ pair: { ...noise, attack }, metric }] : []),
    ];
  });
  return tested(results, wanted);
}

interface Setting {
  readonly row: VerdictRow;
  readonly owner: Comparison | undefined;
  readonly attacker: Comparison | undefined;
}

/** The answer, which names the cheapest setting that is shown to hide people, otherwise the one that costs the most. */
function answerOf(
  settings: readonly Setting[],
  base: SummaryEntry,
  undefended: Undefended,
  { manifest }: Results,
): { sentence: string; decisive?: Setting } {
  const { classes } = manifest.dataset;
  const low = base[undefended.metric].ci95?.[0];
  if (classes !== undefined && low !== undefined && low <= 1 / classes) {
    return {
      sentence: 'The attack was not shown to recover anybody even without a defence: there is nothing to hide.',
    };
  }
  if (settings.length === 0) return { sentence: 'No defence was measured.' };
  const higher = settings.find(({ attacker }) => attacker?.verdict === 'higher');
  const hiding = settings.find(({ attacker }) => attacker?.verdict === 'lower');
  const decisive = hiding ?? higher ?? settings[settings.length - 1];
  const name = `“${conditionLabel(decisive.row.condition)}”`;
  const attacker = attackerClause(decisive, undefended);
  const owner = ownerClause(decisive, undefended);
  if (hiding) {
    const isCheap = decisive.row.accuracy >= base.accuracy.mean - CHEAP || decisive.owner?.verdict === 'equivalent';
    const start =
      decisive.owner?.verdict === 'lower'
        ? 'It hides some of them, at a price'
        : isCheap
          ? 'It hides some of them'
          : 'It hides some of them, at a price that is not known';
    return { sentence: `${start}: with ${name}, ${attacker}, and ${owner}.`, decisive };
  }
  const start = higher || decisive.attacker?.verdict === 'equivalent' ? 'No' : 'Not shown';
  return { sentence: `${start}: even with ${name}, where ${owner}, ${attacker}.`, decisive };
}

/** The undefended model in the numbers that the table shows. */
interface Undefended {
  readonly row: VerdictRow;
  readonly metric: Recognition;
  readonly pictures: number;
}

function attackerClause({ attacker: compared, row }: Setting, { row: base, metric, pictures }: Undefended): string {
  if (!compared || compared.mean === null || compared.untested === 'unmeasured') return 'too little could be measured';
  const who = metric === 'rank1' ? 'a comparison with all people identifies' : 'an independent evaluator recognises';
  const count = (each: VerdictRow) => recognisedText(each, { pictures });
  if (compared.untested === 'draws') return 'a single draw or victim cannot show whether fewer pictures are recognised';
  if (compared.verdict === 'lower' || compared.verdict === 'higher') {
    return `${who} ${count(row)} of the attacker’s pictures instead of ${count(base)} without errors`;
  }
  if (compared.verdict === 'equivalent') {
    return `as many pictures are recognised as without it (within ±${points(compared.margin, 0)} of 100)`;
  }
  return 'it was not shown that fewer pictures are recognised';
}

function ownerClause({ owner: compared, row }: Setting, { row: base }: Undefended): string {
  if (!compared || compared.mean === null) return 'its cost could not be measured';
  const change = `from ${accuracyText(base)} to ${accuracyText(row)}`;
  if (compared.verdict === 'lower') return `the owner’s accuracy falls ${change}`;
  if (compared.verdict === 'higher') return `the owner’s accuracy rises ${change}`;
  if (compared.verdict === 'equivalent') {
    return `the owner’s accuracy stays the same (within ±${points(compared.margin, 0)} points)`;
  }
  return compared.untested === undefined
    ? 'no loss of accuracy was shown'
    : 'a single draw or victim cannot show what the owner loses';
}

function noiseSentence(compared: Comparison): string {
  const { verdict, untested, mean, margin } = compared;
  const errors = `“${conditionLabel(compared.first)}”`;
  const noise = 'random noise on the weights that costs as much accuracy';
  if (untested === 'accuracy') return `The accuracy of noise could not be made equal to that of ${errors}.`;
  if (untested === 'draws') return `A single draw or victim cannot show a difference between ${errors} and ${noise}.`;
  if (untested === 'unmeasured' || mean === null)
    return `Too little could be measured to compare ${errors} with ${noise}.`;
  const count = points(Math.abs(mean), digitsOf(compared));
  if (verdict === 'lower') return `With ${errors}, ${count} of 100 pictures more are hidden than by ${noise}.`;
  if (verdict === 'higher') return `With ${errors}, ${count} of 100 pictures fewer are hidden than by ${noise}.`;
  if (verdict === 'equivalent') {
    return `With ${errors}, as many pictures are hidden as by ${noise} (within ±${points(margin, 0)} of 100).`;
  }
  return `Plain random noise on the weights that costs as much accuracy as ${errors} was not shown to hide more pictures, or fewer.`;
}

/** Width of an interval of a difference of shares from which on it says nothing. */
const UNTOLD = 0.5;

/** A tested difference of two shares in words: 'no difference shown: −3 points (−13 to +4)'. */
export function inWords(compared: Pick<Comparison, 'mean' | 'interval' | 'untested' | 'verdict' | 'margin'>): string {
  const { mean, interval, untested, verdict, margin } = compared;
  if (mean === null || untested === 'unmeasured') return 'too little could be measured';
  if (untested === 'accuracy') return 'accuracies could not be made equal';
  const digits = digitsOf(compared);
  const signed = (value: number) => formatDifference(100 * value, digits);
  if (interval === null) return `${signed(mean)} points, not tested: a single draw or victim`;
  const [low, high] = interval;
  if (verdict === 'lower' || verdict === 'higher') {
    const [from, to] = verdict === 'lower' ? [-high, -low] : [low, high];
    return `${verdict} by ${points(Math.abs(mean), digits)} points (${points(from, digits)} to ${points(to, digits)})`;
  }
  const ends = `(${signed(low)} to ${signed(high)})`;
  if (verdict === 'equivalent') return `the same within ±${points(margin, 0)} points ${ends}`;
  return `${high - low > UNTOLD ? 'too few data to tell' : 'no difference shown'}: ${signed(mean)} points ${ends}`;
}

/** The difference with the other sign. */
function opposite(compared: Comparison): Parameters<typeof inWords>[0] {
  const { mean, interval, verdict } = compared;
  const turned = { lower: 'higher', higher: 'lower', equivalent: 'equivalent', open: 'open' } as const;
  return {
    ...compared,
    mean: mean === null ? null : -mean,
    interval: interval && [-interval[1], -interval[0]],
    verdict: turned[verdict],
  };
}

/** Digits of points: none, or as many as keep an interval without zero from showing one. */
function digitsOf({ interval }: Pick<Comparison, 'interval'>): number {
  if (interval === null || interval[0] * interval[1] <= 0) return 0;
  const nearest = 100 * Math.min(...interval.map(Math.abs));
  return nearest >= 0.5 ? 0 : Math.ceil(-Math.log10(nearest));
}

function points(share: number, digits: number): string {
  return formatNumber(100 * share, digits);
}

/** '37 of 40': the mean number of recognised pictures per draw. */
export function recognisedText({ recognised }: VerdictRow, { pictures }: Pick<VerdictTable, 'pictures'>): string {
  return recognised === null ? 'not measured' : `${Math.round(recognised * pictures)} of ${pictures}`;
}

/** '95.8 %'. */
export function accuracyText({ accuracy }: VerdictRow): string {
  return `${formatNumber(100 * accuracy, 1)} %`;
}

/** Explains the intervals of the table. */
export function intervalNote(results: Results, { comparisons }: VerdictTable): string {
  return (
    `Differences are paired, in points of 100, with intervals over ${isAggregated(results) ? 'victims' : 'draws'} and people (images, for accuracy) ` +
    `that are corrected for ${comparisons.length} comparisons by Holm’s method. Counts of pictures are means over draws, rounded.`
  );
}
