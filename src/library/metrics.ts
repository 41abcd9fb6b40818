/** Metrics of reconstructions, and confidence intervals of their means. */

export { type NullBaselines, nullBaselines } from '../metrics/baselines.ts';
export { type BootstrapInterval, type BootstrapOptions, bootstrapInterval } from '../metrics/bootstrap.ts';
export { type IdentityClassifier, trainIdentityClassifier } from '../metrics/identity.ts';
export {
  indexPhotographs,
  mse,
  type PhotographIndex,
  pcc,
  psnr,
  type Similarity,
  similarityToPhotographs,
  ssim,
} from '../metrics/similarity.ts';
