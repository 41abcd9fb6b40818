/** Results of an experiment: rows, their means with intervals, and names of conditions. */

export {
  type Condition,
  conditionKey,
  conditionLabel,
  formatNumber,
  type Interval,
  type Metric,
  type Row,
  type SummaryEntry,
  summarise,
  toCsv,
} from '../results/results.ts';
