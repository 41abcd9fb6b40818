/** The photographs with which reconstructions are compared, and the evaluators that judge them, one set per split. */
import { type AttackContext, type Reconstruction, SPLITS, type SplitName } from '../attacks/attack.ts';
import { type ImageDataset, labelsOf, toFloat } from '../data/dataset.ts';
import { trainIdentityClassifier } from '../metrics/identity.ts';
import {
  NO_SCORES,
  type PersonScores,
  type Recogniser,
  resemblanceThreshold,
  scoreReconstructions,
  type Truth,
} from '../metrics/scoring.ts';
import { indexPhotographs } from '../metrics/similarity.ts';
import type { FaceEvaluator, FaceExamples } from '../models/face_evaluator.ts';
import type { ExperimentConfig } from './config.ts';
import type { ExperimentData } from './faces.ts';

/** Most photographs whose reconstructions are stored as pictures of a condition. */
const SHOWN_PHOTOGRAPHS = 10;

/** Shares of real photographs that the evaluators recognise, 0..1. */
export interface EvaluatorAccuracies {
  readonly linear: number;
  /** Absent where no convolutional evaluator was trained. */
  readonly convolutional?: number;
}

/** One split of the victim's photographs, and the data with which its reconstructions are compared. */
interface SplitTargets extends Truth {
  /** Photographs that are attacked, and the person on each. */
  readonly indices: Uint32Array;
  readonly persons: Uint32Array;
  /** Index in the data set -> position among the photographs that are compared. */
  readonly positions: ReadonlyMap<number, number>;
}

/** A convolutional evaluator, and the share of real photographs of the attacked people that it recognises. */
interface KnownRecogniser extends Recogniser {
  readonly accuracy: number;
}

/** The photographs with which reconstructions of each split are compared; computed at the first request for a split. */
export class Truths {
  /** Photographs that an attack on photographs uses, and all photographs of all people. */
  readonly attacked: AttackContext['attacked'];
  readonly everything: AttackContext['splits'];
  readonly shownPhotographs: number;
  readonly #data: ExperimentData;
  readonly #seed: number;
  readonly #people: readonly number[];
  readonly #classes: number;
  readonly #known = new Map<SplitName, SplitTargets>();
  readonly #recognisers = new Map<SplitName, KnownRecogniser>();

  constructor(data: ExperimentData, config: ExperimentConfig, people: readonly number[], classes: number) {
    this.#data = data;
    this.#seed = config.seed;
    this.#people = people;
    this.#classes = classes;
    const bySplit = (photographsOf: (split: SplitName) => Uint32Array) => {
      const [heldOut, training] = SPLITS.map((split) => {
        const indices = photographsOf(split);
        return { indices, persons: labelsOf(data.dataset, indices) };
      });
      return { 'held-out': heldOut, training };
    };
    this.attacked = bySplit((split) =>
      attackedPhotographs(data.dataset, this.#indicesOf(split), config.photographs, people),
    );
    this.everything = bySplit((split) => this.#indicesOf(split));
    this.shownPhotographs = Math.min(SHOWN_PHOTOGRAPHS, ...SPLITS.map((split) => this.attacked[split].indices.length));
  }

  #indicesOf(split: SplitName): Uint32Array {
    return split === 'training' ? this.#data.split.train : this.#data.split.test;
  }

  /** The photographs of the other side, from which the evaluators of a split learn. */
  #learnedFrom(split: SplitName): Uint32Array {
    return this.#indicesOf(split === 'training' ? 'held-out' : 'training');
  }

  /** The photographs from which the convolutional evaluator of a split learns: those that are not attacked. */
  examplesFor(split: SplitName): FaceExamples {
    const { dataset } = this.#data;
    return { dataset, indices: this.#learnedFrom(split), classes: this.#classes, seed: this.#seed };
  }

  /** Lets a convolutional evaluator judge a split, and shows it the real photographs of that split. */
  async addRecogniser(split: SplitName, evaluator: FaceEvaluator): Promise<void> {
    const { dataset } = this.#data;
    const own = this.#indicesOf(split);
    const answers = await evaluator.recognise(Array.from(own, (image) => toFloat(dataset, [image])));
    const features = Array.from({ length: this.#classes }, (): Float32Array[] => []);
    let [right, shown] = [0, 0];
    for (const [i, image] of own.entries()) {
      const person = dataset.labels[image];
      const answer = answers[i];
      if (answer) features[person].push(answer.features);
      if (!this.#people.includes(person)) continue;
      shown++;
      if (answer?.ranking[0] === person) right++;
    }
    const recognise = (images: readonly Float32Array[]) => evaluator.recognise(images);
    this.#recognisers.set(split, { recognise, features, accuracy: right / shown });
  }

  of(split: SplitName): SplitTargets {
    const known = this.#known.get(split);
    if (known) return known;
    const { dataset, meanFace } = this.#data;
    const { width, height, channels } = dataset;
    const own = this.#indicesOf(split);
    const other = this.#learnedFrom(split);
    const photographs = indexPhotographs(
      toFloat(dataset, own),
      labelsOf(dataset, own),
      width,
      height,
      meanFace,
      channels,
    );
    const targets: SplitTargets = {
      ...this.attacked[split],
      photographs,
      evaluator: trainIdentityClassifier(toFloat(dataset, other), labelsOf(dataset, other), this.#classes),
      recogniser: this.#recognisers.get(split),
      threshold: resemblanceThreshold(photographs),
      positions: new Map([...own].map((image, position) => [image, position])),
    };
    this.#known.set(split, targets);
    return targets;
  }

  /** Shares of real photographs of the attacked people that the evaluators recognise, means over splits. */
  accuracies(splits: readonly SplitName[]): EvaluatorAccuracies {
    const { dataset } = this.#data;
    const mean = (values: readonly number[]) => values.reduce((sum, each) => sum + each, 0) / values.length;
    const linear = splits.map((split) => {
      const own = this.#indicesOf(split).filter((image) => this.#people.includes(dataset.labels[image]));
      return this.of(split).evaluator.accuracy(toFloat(dataset, own), labelsOf(dataset, own));
    });
    const convolutional = splits.flatMap((split) => this.#recognisers.get(split)?.accuracy ?? []);
    return { linear: mean(linear), ...(convolutional.length > 0 && { convolutional: mean(convolutional) }) };
  }

  /** Scores the reconstructions of one draw. @param split absent if there are none */
  async measure(
    split: SplitName | undefined,
    reconstructions: readonly Reconstruction[],
  ): Promise<{ readonly perIdentity: PersonScores; readonly n: number; readonly images: readonly Float32Array[] }> {
    if (!split) return { perIdentity: NO_SCORES, n: 0, images: [] };
    const targets = this.of(split);
    const isPerPerson = reconstructions[0]?.photograph === undefined;
    const shown = isPerPerson ? this.#people.length : this.shownPhotographs;
    const scored = reconstructions.map(({ photograph, ...rest }) => ({
      ...rest,
      photograph: photograph === undefined ? undefined : targets.positions.get(photograph),
    }));
    return {
      perIdentity: await scoreReconstructions(scored, targets),
      n: reconstructions.length,
      images: reconstructions.slice(0, shown).map(({ image }) => image),
    };
  }
}

/** The first photographs of each attacked person, sorted so that everyone's first comes before any second one. */
function attackedPhotographs(
  dataset: ImageDataset,
  split: Uint32Array,
  photographs: number,
  people: readonly number[],
): Uint32Array {
  const taken = new Map<number, number>();
  const ranked: { image: number; rank: number }[] = [];
  for (const image of split) {
    const person = dataset.labels[image];
    const rank = taken.get(person) ?? 0;
    taken.set(person, rank + 1);
    if (rank < photographs && people.includes(person)) ranked.push({ image, rank });
  }
  ranked.sort((a, b) => a.rank - b.rank || a.image - b.image);
  return Uint32Array.from(ranked, ({ image }) => image);
}
