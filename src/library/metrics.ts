/** Metrics of reconstructions, and confidence intervals of their means. */

export { type NullBaselines, nullBaselines } from '../metrics/baselines.ts';
export { type IdentityClassifier, trainIdentityClassifier } from '../metrics/identity.ts';
export { type CrossedTable, type Estimate, type EstimateOptions, estimate, intervalOf } from '../metrics/interval.ts';
export {
  indexPhotographs,
  mse,
  type PhotographIndex,
  pcc,
  psnr,
  type Similarity,
  similarityToPerson,
  ssim,
} from '../metrics/similarity.ts';
