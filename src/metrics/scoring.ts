/** Scores the reconstructions of one attack on one draw; the scores are the numbers of a row of results. */
import type { IdentityClassifier } from './identity.ts';
import { meanPccs, mse, type PhotographIndex, pcc, psnr, similarityToPhotographs, ssim } from './similarity.ts';

/** The photographs with which a reconstruction is compared. */
export interface Truth {
  /** Photographs of the attacked people: of the right person, and of wrong ones. */
  readonly photographs: PhotographIndex;
  /** Classifier that assigns an image to a person, trained on photographs that were not attacked. */
  readonly evaluator: IdentityClassifier;
  readonly width: number;
  readonly height: number;
}

/** A reconstruction, and what it should show. */
export interface ScoredImage {
  /** [height, width], 0..1. */
  readonly image: Float32Array;
  /** The person that it should show. */
  readonly person: number;
  /** The photograph that it should show, [height, width], 0..1; absent if it represents the person in general. */
  readonly photograph?: Float32Array;
}

/** One value per attacked person, in the order of their first image. */
export interface PersonScores {
  readonly pcc: number[];
  readonly pccLift: number[];
  readonly identity: number[];
  readonly mse: number[];
  readonly psnr: number[];
  readonly ssim: number[];
}

/**
 * Scores images. One with a `photograph` is compared with that photograph, any other with all of the person's photographs
 * (src/metrics/similarity.ts); the scores of several images of one person are averaged.
 */
export function scoreReconstructions(images: readonly ScoredImage[], truth: Truth): PersonScores {
  const { photographs, evaluator, width, height } = truth;
  const scores = images.map(({ image, person, photograph }) => {
    const identity = evaluator.predict(image) === person ? 1 : 0;
    if (!photograph) return { ...similarityToPhotographs(image, photographs, person), identity };
    const own = pcc(image, photograph);
    return {
      pcc: own,
      pccLift: own - meanPccs(image, photographs, person).wrong,
      identity,
      mse: mse(image, photograph),
      psnr: psnr(image, photograph),
      ssim: ssim(image, photograph, width, height),
    };
  });
  const people = [...new Set(images.map(({ person }) => person))];
  const list = (metric: keyof PersonScores) =>
    people.map((person) => {
      const own = scores.filter((_, i) => images[i].person === person);
      return own.reduce((sum, score) => sum + score[metric], 0) / own.length;
    });
  return {
    pcc: list('pcc'),
    pccLift: list('pccLift'),
    identity: list('identity'),
    mse: list('mse'),
    psnr: list('psnr'),
    ssim: list('ssim'),
  };
}
