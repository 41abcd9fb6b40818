/** The measures of a row: their names, order, ranges and descriptions. */
import { PERSON_MEASURES } from '../metrics/scoring.ts';

/** Metrics of reconstructions that files of all versions have; the others are null in earlier files. */
export const FIRST_METRICS = ['pcc', 'pccLift', 'mse', 'psnr', 'ssim', 'identity'] as const;

/** The numbers of a row that are summarised, in the order of the columns. */
export const METRICS = ['accuracy', ...FIRST_METRICS, ...PERSON_MEASURES] as const;
export type Metric = (typeof METRICS)[number];

/** Metrics whose values are shares, 0..1: for every image 0 or 1. */
export const SHARES: ReadonlySet<Metric> = new Set<Metric>([
  'accuracy',
  'identity',
  'rank1',
  'rank5',
  'top1',
  'top5',
  'flagged',
]);

/** Metrics with one value per attacked person: all but accuracy. */
export type PersonMetric = Exclude<Metric, 'accuracy'>;

/** Descriptions of the metrics, for the schemas. */
export const METRIC_TEXTS: Readonly<Record<PersonMetric, string>> = {
  pcc: 'Signed Pearson correlation (PCC) with the photograph that was classified or, if the attack shows persons in general, the mean with the person’s photographs',
  pccLift: '`pcc` minus the mean correlation of the same reconstruction with the photographs of all other persons',
  mse: 'Mean squared error',
  psnr: 'Peak signal-to-noise ratio in dB',
  ssim: 'Structural similarity',
  identity: 'Recognised by the linear identity classifier: 1 where it names the right person, otherwise 0',
  pccMeanFree: '`pcc` after the mean face was removed from both images: the partial correlation given the mean face',
  liftMeanFree: '`pccMeanFree` minus its mean with the photographs of all other persons',
  rank1:
    'Rank-1 identification by mean-free PCC: 1 where no other person is as similar, otherwise 0. Where a single photograph should be shown, the person’s other photographs count',
  rank5: 'Rank-5 identification: 1 where at most four other persons are more similar',
  auc: 'Share of the other persons who are less similar: 0.5 by chance, 1 if the right person comes first',
  pccOther: '`pcc` with other photographs of the same person than the one that was classified',
  liftOther: '`pccLift` with other photographs of the same person',
  pccMeanFreeOther: '`pccMeanFree` with other photographs of the same person',
  liftMeanFreeOther: '`liftMeanFree` with other photographs of the same person',
  top1: 'Recognised by the convolutional evaluator: 1 where it names the right person, otherwise 0',
  top5: '1 where the right person is among the evaluator’s first five, otherwise 0',
  featureDistance: 'Distance from the evaluator’s features to those of the nearest photograph of the person',
  flagged:
    '1 where the image resembles the person less than 97 % of real photographs do: recognition of such an image is a false positive',
};
