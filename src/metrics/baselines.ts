/** Null baselines for privacy results: the PCC of images that contain no information about the attacked person. */
import { ShapeError } from '../errors.ts';
import { Random } from '../random.ts';
import { dot, meanPccs, type PhotographIndex } from './similarity.ts';

/** All are mean PCCs, -1..1. */
export interface NullBaselines {
  meanFacePcc: number;
  wrongIdentityPcc: number;
  shuffledPcc: number;
}

/** The three baselines of `results.json`; the last is NaN without reconstructions. Parameters and errors: see the functions below. */
export function nullBaselines(
  meanFace: Float32Array,
  reconstructions: readonly Float32Array[],
  persons: ArrayLike<number>,
  index: PhotographIndex,
  seed: number,
): NullBaselines {
  return {
    meanFacePcc: meanFacePcc(meanFace, index),
    wrongIdentityPcc: wrongIdentityPcc(index),
    shuffledPcc: reconstructions.length === 0 ? Number.NaN : shuffledPcc(reconstructions, persons, index, seed),
  };
}

/**
 * Mean PCC of one face (usually `meanImage` of the training photographs) with everybody's photographs.
 *
 * @param meanFace [height, width, channels], 0..1
 * @throws ShapeError when it has another size than the photographs
 */
export function meanFacePcc(meanFace: Float32Array, index: PhotographIndex): number {
  return meanPccs(meanFace, index, personsWithPhotographs(index)[0]).all;
}

/**
 * Mean PCC over all pairs of photographs of two different persons: the score of a perfect photograph of somebody else.
 * It is exact: the sums give the dot products of all pairs, minus those within a person.
 */
export function wrongIdentityPcc(index: PhotographIndex): number {
  const { sums, total } = index.raw;
  let pccs = dot(total, total);
  let pairs = index.count ** 2;
  index.members.forEach((own, person) => {
    pccs -= dot(sums[person], sums[person]);
    pairs -= own.length ** 2;
  });
  return pccs / pairs;
}

/**
 * Mean PCC of each reconstruction with the photographs of another person, chosen by a seeded derangement of the persons.
 *
 * @param reconstructions each [height, width, channels], 0..1
 * @param persons the person that each reconstruction is meant to show
 * @throws ShapeError when there are none, or not as many as `persons`, or one has another size than the photographs
 * @throws DataError when a person has no photographs
 */
export function shuffledPcc(
  reconstructions: readonly Float32Array[],
  persons: ArrayLike<number>,
  index: PhotographIndex,
  seed: number,
): number {
  if (reconstructions.length !== persons.length || reconstructions.length === 0) {
    throw new ShapeError(
      `shuffledPcc: ${reconstructions.length} reconstructions for ${persons.length} persons; give one person each`,
    );
  }
  const others = derangement(personsWithPhotographs(index), seed);
  let sum = 0;
  reconstructions.forEach((reconstruction, i) => {
    // The derangement has no person without photographs; for such a person meanPccs throws.
    sum += meanPccs(reconstruction, index, others.get(persons[i]) ?? persons[i]).own;
  });
  return sum / reconstructions.length;
}

/** A random single cycle through all persons (Sattolo's algorithm), so nobody is mapped to themselves. */
function derangement(persons: number[], seed: number): Map<number, number> {
  const random = new Random(seed);
  const images = [...persons];
  for (let i = images.length - 1; i > 0; i--) {
    const j = random.uniformInt(i);
    [images[i], images[j]] = [images[j], images[i]];
  }
  return new Map(persons.map((person, i) => [person, images[i]]));
}

function personsWithPhotographs(index: PhotographIndex): number[] {
  return [...index.members.keys()].filter((person) => index.members[person].length > 0);
}
