/**
 * The names of conditions, metrics, attacks and victims: labels, titles and file names. All of them are derived here from
 * typed data, and no code parses them.
 */

import type { Granularity } from '../memory/config.ts';
import { isNoise } from './condition.ts';
import { formatNumber, formatRate } from './format.ts';
import type { Metric } from './metrics.ts';
import type { Condition, ConditionKind, Manifest, Release } from './schema.ts';

/** Display names of the kinds, used by every figure and table. */
export const KIND_LABELS: Record<ConditionKind, string> = {
  none: 'Undefended',
  quantised: 'Quantised, no errors',
  'bit-error': 'Bit errors',
  memory: 'Memory',
  gaussian: 'Gaussian noise',
  laplacian: 'Laplacian noise',
};

/** A kind's name in the middle of a sentence. */
export function kindInText(kind: ConditionKind): string {
  return kind === 'gaussian' || kind === 'laplacian' ? KIND_LABELS[kind] : KIND_LABELS[kind].toLowerCase();
}

export const METRIC_LABELS: Record<Metric, string> = {
  accuracy: 'Accuracy',
  pcc: 'PCC with the right person',
  pccLift: 'PCC lift over wrong persons',
  mse: 'Mean squared error',
  psnr: 'PSNR (dB)',
  ssim: 'SSIM',
  identity: 'Recognised by the linear evaluator',
  pccMeanFree: 'PCC without the mean face',
  liftMeanFree: 'Lift without the mean face',
  rank1: 'Rank-1 identification',
  rank5: 'Rank-5 identification',
  auc: 'AUC of identification',
  pccOther: 'PCC with other photographs of the person',
  liftOther: 'Lift with other photographs of the person',
  pccMeanFreeOther: 'PCC without the mean face, other photographs',
  liftMeanFreeOther: 'Lift without the mean face, other photographs',
  top1: 'Recognised by the convolutional evaluator',
  top5: 'Among the evaluator’s first five',
  featureDistance: 'Feature distance to the person',
  flagged: 'Flagged: without resemblance',
};

/** The name of a release in file names and addresses: 'rounding-2'. */
export function releaseName({ kind, ...options }: Release): string {
  return [kind, ...Object.values(options)].join('-');
}

/** 'released with rounding (decimals 2)'; undefined if confidences are released unchanged. */
export function releaseLabel(release: Release | undefined): string | undefined {
  if (release === undefined) return undefined;
  const { kind, ...options } = release;
  const list = Object.entries(options).map(([name, value]) => `${name} ${value}`);
  return `released with ${kind}${list.length > 0 ? ` (${list.join(', ')})` : ''}`;
}

/** The display name of a condition: 'Bit errors 6.25 %, fc1'; for a memory, the memory's own label. */
export function conditionLabel(condition: Condition): string {
  return [weightsLabel(condition), releaseLabel(condition.release)].filter((part) => part !== undefined).join(', ');
}

function weightsLabel(condition: Condition): string {
  const { kind } = condition;
  const name = KIND_LABELS[kind];
  if (kind === 'memory') return condition.label;
  if (kind === 'none') return name;
  if (kind === 'quantised') return `${name} (${condition.format})`;
  const rates = Object.entries(condition.rates);
  const values = new Set(rates.map(([, value]) => value));
  const { layers } = condition;
  const where = layers === 'both' || layers === 'all' ? `${layers} layers` : layers;
  if (values.size <= 1) return `${name} ${formatRate(kind, rates[0]?.[1] ?? 0)}, ${where}`;
  return `${name} ${rates.map(([layer, value]) => `${layer} ${formatRate(kind, value)}`).join(', ')}`;
}

const PER: Record<Granularity, string> = {
  chip: 'per chip',
  load: 'per load',
  pass: 'per forward pass',
  inference: 'per inference',
};

/**
 * The label with details, for a condition that is shown alone: 'Bit errors 6.25 %, fc1 (fixed12, errors drawn per load)'.
 */
export function conditionTitle(condition: Condition): string {
  const label = conditionLabel(condition);
  const { kind } = condition;
  if (kind === 'none' || kind === 'quantised') return label;
  const details = [
    kind === 'bit-error' ? condition.format : undefined,
    `${isNoise(condition) ? 'noise' : 'errors'} drawn ${PER[condition.granularity]}`,
    isNoise(condition) ? calibrationLabel(condition) : undefined,
  ];
  return `${label} (${details.filter((part) => part !== undefined).join(', ')})`;
}

function calibrationLabel({ calibration, matchedTo }: Extract<Condition, { calibration?: unknown }>) {
  if (calibration === 'published') return 'scale as published';
  if (calibration === 'moments') return 'same mean square as bit errors';
  return matchedTo === undefined ? undefined : 'calibrated to the accuracy of bit errors';
}

/** Longest file name without its extension; a temporary file beside it has up to 25 characters more, and 255 are allowed. */
const LONGEST_NAME = 200;

/**
 * A file name for any text, of letters, digits and `_ . = + - ~` only, so that it names nothing outside its folder. A text
 * with other characters than those, spaces, commas and parentheses, or a long one, is told apart by a hash of its characters.
 */
export function fileName(text: string): string {
  const name = text.replace(/[^\w.=+-]+/g, '-');
  if (/^[\w.=+\-,() ]*$/.test(text) && name.length <= LONGEST_NAME) return name;
  return `${name.slice(0, LONGEST_NAME - 9)}~${hashOf(text)}`;
}

/** Eight hexadecimal digits (FNV-1a over UTF-16, http://www.isthe.com/chongo/tech/comp/fnv/). */
function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** The path, within a run folder, of the pictures of a condition under an attack. */
export function pictureFile(condition: Condition, attack: string, extension: 'gray' | 'npy' = 'npy'): string {
  const { kind, layers, release } = condition;
  const rates = Object.entries(condition.rates).map(([layer, rate]) => `${layer}=${rate}`);
  const parts = [attack, kind, layers, ...(kind === 'memory' && condition.label ? [condition.label] : rates)];
  if (release) parts.push(...Object.values(release).map(String));
  return `pictures/${fileName(parts.join('_'))}.${extension}`;
}

const VICTIMS: Record<string, string> = {
  softmax: 'the softmax regression',
  mlp: 'the multilayer perceptron',
  'mlp-sigmoid': 'the multilayer perceptron with a sigmoid layer',
  dae: 'the denoising autoencoder',
  yang: 'the convolutional classifier',
};

/** A victim in the middle of a sentence: 'the multilayer perceptron'. @param kind of model */
export function victimTitle(kind: string): string {
  return VICTIMS[kind] ?? `the ${kind} classifier`;
}

/** The kind of model that a configuration attacks; undefined if it names none. */
function victimKind(config: Record<string, unknown>): string | undefined {
  const victim = (config.victim ?? {}) as Record<string, unknown>;
  return typeof victim.kind === 'string' ? victim.kind : undefined;
}

/** The victim of a run in the middle of a sentence: 'the multilayer perceptron', or 'a classifier' if it has no name. */
export function victimTitleOf({ config }: Pick<Manifest, 'config'>): string {
  const kind = victimKind(config);
  return kind === undefined ? 'a classifier' : victimTitle(kind);
}

/** The attack and the attacked model in words: 'MI-Face against the multilayer perceptron'. */
export function attackedTitle({ attacks, config }: Manifest): string {
  const families = new Set(attacks?.map((attack) => attack.family ?? attack.kind));
  const family = families.size === 1 ? [...families][0] : 'Model inversion';
  return `${family} against ${victimTitleOf({ config })}`;
}

/** The title of a run: 'MI-Face against the multilayer perceptron in approximate memory (AT&T faces)'. */
export function runTitle(manifest: Manifest): string {
  return `${attackedTitle(manifest)} in approximate memory (${manifest.dataset.name})`;
}

/** The heading of a metric's column. Recognition stands beside the share of real photographs that the evaluator recognises. */
export function metricHeading(metric: Metric, { evaluators }: Pick<Manifest, 'evaluators'>): string {
  const known = { identity: evaluators?.linear, top1: evaluators?.convolutional }[metric as string];
  const label = METRIC_LABELS[metric];
  return known === undefined ? label : `${label} (real photographs: ${formatNumber(known)})`;
}

/** The differential privacy of a victim as a sentence. */
export function privacyText({
  epsilon,
  epsilonOncePerEpoch,
  delta,
  noise,
  clip,
}: NonNullable<Manifest['privacy']>): string {
  const rounded = (value: number) => Number(value.toPrecision(3));
  return (
    `DP-SGD with noise ${noise} and gradients clipped to ${clip}: ε = ${rounded(epsilon)} at δ = ${delta} for one training ` +
    'photograph if batches were Poisson samples, which shuffled batches are not; without that assumption ' +
    `ε = ${rounded(epsilonOncePerEpoch)}. It holds against those who do not know the seed.`
  );
}
