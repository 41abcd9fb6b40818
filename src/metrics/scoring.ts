/** Scores the reconstructions of one attack on one draw; the scores are the numbers of a row of results. */
import type { IdentityClassifier } from './identity.ts';
import { liftsOfPhotographs, type PhotographIndex, type Similarity, similarityToPerson } from './similarity.ts';

/** The photographs with which a reconstruction is compared, and the evaluators that name the person on it. */
export interface Truth {
  /** Photographs of the attacked people: of the right person, and of all others. */
  readonly photographs: PhotographIndex;
  /** Linear classifier that assigns an image to a person, trained on photographs that were not attacked. */
  readonly evaluator: IdentityClassifier;
  /** Convolutional evaluator, trained on photographs that were not attacked. */
  readonly recogniser?: Recogniser;
  /**
   * Mean-free lift below which an image does not resemble a person, from {@link resemblanceThreshold}; undefined where no
   * person has two photographs.
   */
  readonly threshold: number | undefined;
}

/** An evaluator that ranks people and describes images by features. */
export interface Recogniser {
  /** @returns undefined for an image that shows nothing */
  recognise(images: readonly Float32Array[]): Promise<readonly (Recognition | undefined)[]>;
  /** Person -> features of the person's photographs of the attacked side, with which images are compared. */
  readonly features: readonly (readonly Float32Array[])[];
}

/** The answer of an evaluator about one image. */
export interface Recognition {
  /** All people, the most likely first. */
  readonly ranking: readonly number[];
  readonly features: Float32Array;
}

/** A reconstruction, and what it should show. */
export interface ScoredImage {
  /** [height, width, channels], 0..1. */
  readonly image: Float32Array;
  /** The person that it should show. */
  readonly person: number;
  /** Position in the index of the photograph that it should show; absent if it represents the person in general. */
  readonly photograph?: number;
  /** True if the attack computed no image: it is not measured. */
  readonly failed?: boolean;
}

/** The scores of one image; NaN where one could not be measured. */
interface ImageScores extends Similarity {
  /** 1 if the linear evaluator names the right person, otherwise 0. */
  readonly identity: number;
  /** 1 if the right person is the convolutional evaluator's first guess, or among its first five. */
  readonly top1: number;
  readonly top5: number;
  /** Euclidean distance from the features of the image to those of the nearest photograph of the person. */
  readonly featureDistance: number;
  /** 1 if the image resembles the person less than nearly all real photographs do, whatever an evaluator says. */
  readonly flagged: number;
}

/** Scores that see the person: without the mean face, by identification, by other photographs and by the evaluators. */
export const PERSON_MEASURES = [
  'pccMeanFree',
  'liftMeanFree',
  'rank1',
  'rank5',
  'auc',
  'pccOther',
  'liftOther',
  'pccMeanFreeOther',
  'liftMeanFreeOther',
  'top1',
  'top5',
  'featureDistance',
  'flagged',
] as const satisfies readonly (keyof ImageScores)[];

const SCORES = ['pcc', 'pccLift', 'identity', 'mse', 'psnr', 'ssim', ...PERSON_MEASURES] as const;

/** One value per attacked person, in the order of their first image; null where it could not be measured. */
export type PersonScores = Readonly<Record<keyof ImageScores, (number | null)[]>>;

/** The scores of an attack that returns no images. */
export const NO_SCORES = Object.fromEntries(SCORES.map((metric) => [metric, [] as number[]])) as PersonScores;

/** Share of real photographs that may resemble their own person too little: less than the 5 % that is claimed. */
const REJECTED = 0.03;
const MOST_REJECTED = 0.05;
/** Lift below which nothing resembles a person: people who are strangers to each other often reach it. */
const LEAST_LIFT = 0.05;

/**
 * The mean-free lift that all but 3 % of the real photographs of an index exceed, when each is compared with the person's other
 * photographs, but at least 0.05. An image that stays below does not show the person. If an evaluator recognises it all the same,
 * the evaluator is wrong: an image that was made to please one classifier can please another.
 *
 * @returns undefined where no person has two photographs, or where photographs of one person are so unlike that more than 5 % of
 *   them stay below 0.05
 */
export function resemblanceThreshold(index: PhotographIndex): number | undefined {
  const lifts = liftsOfPhotographs(index).filter((lift) => !Number.isNaN(lift));
  if (lifts.length === 0) return undefined;
  lifts.sort((a, b) => a - b);
  const threshold = Math.max(LEAST_LIFT, lifts[Math.floor(REJECTED * lifts.length)]);
  const rejected = lifts.filter((lift) => lift < threshold).length / lifts.length;
  return rejected <= MOST_REJECTED ? threshold : undefined;
}

/**
 * Scores images. One with a `photograph` is compared with that photograph, any other with all of the person's photographs
 * (src/metrics/similarity.ts); the scores of several images of one person are averaged over those that could be measured.
 */
export async function scoreReconstructions(images: readonly ScoredImage[], truth: Truth): Promise<PersonScores> {
  const recognitions = await truth.recogniser?.recognise(images.map(({ image }) => image));
  const scores = images.map((image, i) => scoresOf(image, recognitions?.[i], truth));
  const people = [...new Set(images.map(({ person }) => person))];
  const list = (metric: keyof ImageScores) =>
    people.map((person) => {
      const own = scores.filter((_, i) => images[i].person === person);
      return meanOfMeasured(own.map((score) => score?.[metric] ?? null));
    });
  return Object.fromEntries(SCORES.map((metric) => [metric, list(metric)])) as PersonScores;
}

function scoresOf(
  { image, person, photograph, failed }: ScoredImage,
  recognition: Recognition | undefined,
  { photographs, evaluator, recogniser, threshold }: Truth,
): ImageScores | undefined {
  if (failed) return undefined;
  const similarity = similarityToPerson(image, photographs, person, photograph);
  // An image without contrast shows nobody: it is not measured, although an evaluator would name somebody.
  if (Number.isNaN(similarity.pcc)) return undefined;
  const identity = evaluator.predict(image) === person ? 1 : 0;
  const recognised = recognition ? recognition.ranking.indexOf(person) : Number.NaN;
  const nearest =
    recognition && recogniser?.features[person]?.map((features) => distance(features, recognition.features));
  const lift = photograph === undefined ? similarity.liftMeanFree : similarity.liftMeanFreeOther;
  return {
    ...similarity,
    identity,
    top1: recognition ? Number(recognised === 0) : Number.NaN,
    top5: recognition ? Number(recognised < 5) : Number.NaN,
    featureDistance: nearest?.length ? Math.min(...nearest) : Number.NaN,
    flagged: threshold === undefined || Number.isNaN(lift) ? Number.NaN : Number(lift < threshold),
  };
}

function distance(a: Float32Array, b: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i] - b[i]) ** 2;
  return Math.sqrt(squares);
}

/** Mean of the values that were measured, which are neither null nor NaN; null if there are none. */
export function meanOfMeasured(values: readonly (number | null)[]): number | null {
  const measured = values.filter((value) => value !== null && !Number.isNaN(value)) as number[];
  return measured.length === 0 ? null : measured.reduce((sum, value) => sum + value, 0) / measured.length;
}
