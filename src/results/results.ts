/**
 * Exports the results of a run, and the computations that figures, tables and reports share, for callers outside this folder.
 * Each symbol is documented where it is defined.
 */

export { type AggregatedEntry, type AggregatedResults, aggregate, isAggregated } from './aggregate.ts';
export { attacksOf, attackTitle, mainAttack, splitOf } from './attacks.ts';
export {
  calibratedTo,
  conditionKey,
  equalRate,
  isDefended,
  isErrorFree,
  isNoise,
  isUndefended,
  matchedTo,
  measuredDimms,
} from './condition.ts';
export { summaryCsv, toCsv } from './csv.ts';
export { formatDuration, formatNumber, formatPercent, formatRate } from './format.ts';
export {
  attackedTitle,
  conditionLabel,
  conditionTitle,
  fileName,
  KIND_LABELS,
  kindInText,
  METRIC_LABELS,
  pictureFile,
  privacyText,
  releaseLabel,
  releaseName,
  runTitle,
  victimTitle,
  victimTitleOf,
} from './labels.ts';
export { latexTable } from './latex.ts';
export { METRICS, type Metric } from './metrics.ts';
export { asWritten, inOrder, type RowOrder } from './order.ts';
export { markedRowToLine, parseResults, parseRows, type RowChecks, rowKey, rowToLine } from './parse.ts';
export { decodePictures, encodePictures, type Pictures } from './pictures.ts';
export {
  type AttackDescription,
  type Baselines,
  CONDITION_KINDS,
  type Condition,
  type ConditionKind,
  type Interval,
  type Manifest,
  ManifestSchema,
  type MemoryCondition,
  type NoiseCondition,
  RESULTS_SCHEMA,
  type Release,
  type Results,
  type Row,
  type SummaryEntry,
} from './schema.ts';
export { calibratedOnly, type Series, seriesOf } from './series.ts';
export { summarise } from './summary.ts';
