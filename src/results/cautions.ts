/** Warnings that come before the conclusions of a run, one sentence each. */
import { binomialInterval, isNearChance } from '../metrics/binomial.ts';
import { isAggregated } from './aggregate.ts';
import { conditionKey, isErrorFree, isUndefended } from './condition.ts';
import { conditionLabel } from './labels.ts';
import type { Results } from './schema.ts';

/** Share of real photographs that an evaluator must recognise, or there is a warning. */
const GOOD_EVALUATOR = 0.8;

const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

/** Warns of a victim that was given, and may have been trained on the held-out images. */
export function trainingWarning({ manifest: { trainedElsewhere } }: Results): string[] {
  if (!trainedElsewhere) return [];
  return [
    'The victim was given, and whether it has seen the held-out images in its training is not known: its accuracy on them may be that on ' +
      'images it has learned.',
  ];
}

/** Warns of evaluators that do not know real photographs. */
export function weakEvaluator({ manifest: { evaluators } }: Results): string[] {
  if (!evaluators) return [];
  const best = Math.max(evaluators.linear, evaluators.convolutional ?? 0);
  if (best >= GOOD_EVALUATOR) return [];
  return [
    `The evaluators recognise only ${percent(best)} of real photographs: rates of recognition say little. Give more photographs per person.`,
  ];
}

/** A sentence in place of all conclusions, where the accuracy cannot be told from guessing or is at most twice that. */
export function nearChance(results: Results): string | undefined {
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

/** Says how many reconstructions could not be measured. */
export function unmeasuredLine({ summary }: Results): string[] {
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

/** Says that one draw shows no variation. */
export function singleDrawLine({ summary }: Results): string[] {
  const single = summary.some(({ condition, draws }) => !isErrorFree(condition) && draws === 1);
  if (!single) return [];
  return [
    'The errors were drawn once: how much another draw would differ is not known, so no intervals are given for them. Measure ' +
      'more draws (--draws).',
  ];
}
