/** What an experiment leaves behind: rows, their means with intervals, and the words for conditions. */

export {
  type Condition,
  conditionKey,
  conditionLabel,
  type Interval,
  type Metric,
  type Row,
  type SummaryEntry,
  summarise,
  toCsv,
} from '../results/results.ts';
