/** Float64 reference of src/attacks/mi_face.ts with plain weights: every iteration of an attack on images. */
import type { MiFaceConfig } from '../../src/attacks/mi_face_config.ts';
import { MI_FACE_STATE, writeFields } from '../../src/gpu/structs.ts';
import type { DenseSpec } from '../../src/layers/dense.ts';
import { nonLocalMeans, sharpen, totalVariation, totalVariationGradient } from '../../src/reference/image.ts';
import { confidenceCost } from '../../src/reference/loss.ts';
import { miFaceJudge, miFaceStep, searchDirections, searchGradient } from '../../src/reference/mi_face.ts';
import { rowNorm } from '../../src/reference/reduce.ts';
import { type Parameters, stackBackward, stackForward } from './model.ts';

/** The victim of an attack, the size of its images, and the attacked classes, one per image. */
export interface MiFaceReference {
  readonly specs: readonly DenseSpec[];
  readonly parameters: Parameters;
  readonly height: number;
  readonly width: number;
  readonly targets: readonly number[];
}

/** The result of the attack on one class. */
export interface ReferenceResult {
  /** height * width pixels. */
  readonly image: Float64Array;
  readonly objective: number;
  readonly confidence: number;
  readonly bestIteration: number;
  readonly iterations: number;
  /** Objective of every image that was judged, stopped classes included. */
  readonly objectives: readonly number[];
}

/**
 * Attacks all targets and returns one result per target.
 * @param start one image per target
 * @param draw selects the search directions of a black-box attack
 */
export function miFace(
  reference: MiFaceReference,
  config: MiFaceConfig,
  start: readonly ArrayLike<number>[],
  draw = 0,
): ReferenceResult[] {
  const { specs, parameters, height, width, targets } = reference;
  const { cost, iterations, step, schedule, totalVariation: smooth, epsilon, process, search } = config;
  const pixels = height * width;
  const rows = targets.length;
  const x = new Float64Array(rows * pixels);
  for (const [row, image] of start.entries()) x.set(Array.from(image), row * pixels);
  const images = { x, velocity: new Float64Array(x.length), retained: new Float64Array(x.length) };
  const state = new Uint32Array(rows * MI_FACE_STATE.words);
  const floats = new Float32Array(state.buffer);
  for (let row = 0; row < rows; row++) {
    writeFields(MI_FACE_STATE, state, { best: 3.4e38, isActive: 1 }, row * MI_FACE_STATE.words);
  }
  const judged = config.keep === 'best' || config.beta !== null || config.gamma !== null;
  const classes = specs[specs.length - 1].outputs;
  const ask = (inputs: ArrayLike<number>, wanted: readonly number[]) => {
    const values = stackForward(specs, parameters, inputs, wanted.length);
    return { values, ...confidenceCost(cost, values[specs.length], wanted, classes) };
  };
  const objectives = targets.map((): number[] => []);
  for (let t = 0; t <= iterations; t++) {
    const { values, gradient: gradLogits, results: answers } = ask(x, targets);
    let gradient = stackBackward(specs, parameters, values, gradLogits).input;
    if (search) {
      const query = { ...search, width, iteration: t, draw };
      const many = Array.from({ length: 2 * search.directions }, () => targets).flat();
      const radii = targets.map(() => search.sigma);
      gradient = searchGradient(
        ask(searchDirections(x, radii, pixels, query), many).results,
        rows,
        pixels,
        query,
      ) as typeof gradient;
    }
    if (smooth > 0) {
      const slope = totalVariationGradient(x, height, width, smooth, epsilon);
      gradient = gradient.map((value, i) => value + slope[i]);
      // A flat image counts as zero.
      const differences = height * (width - 1) + (height - 1) * width;
      const energy = totalVariation(x, height, width, epsilon);
      for (let row = 0; judged && row < rows; row++) {
        answers[2 * row] += smooth * (energy[row] - (differences * Math.sqrt(epsilon)) / pixels);
      }
    }
    const results = Float32Array.from(answers);
    for (let row = 0; row < rows; row++) objectives[row].push(results[2 * row]);
    miFaceJudge(
      results,
      state,
      t,
      config.beta ?? Number.POSITIVE_INFINITY,
      config.gamma ?? Number.NEGATIVE_INFINITY,
      config.keep,
    );
    const rate = t === iterations ? 0 : schedule === 'linear' ? step * (1 - t / iterations) : step;
    miFaceStep(images, gradient, rowNorm(gradient, pixels), state, { ...config, rate });
    if (process && (t + 1) % process.every === 0 && t + 1 < iterations) {
      const options = { patchRadius: 1, searchRadius: 3, strength: process.strength };
      x.set(sharpen(nonLocalMeans(x, height, width, options), height, width, process.sharpen));
    }
  }
  return targets.map((_, row) => {
    const first = row * MI_FACE_STATE.words;
    const { at } = MI_FACE_STATE;
    return {
      image: images.retained.slice(row * pixels, (row + 1) * pixels),
      objective: floats[first + at.objective],
      confidence: floats[first + at.confidence],
      bestIteration: state[first + at.bestIteration],
      iterations: state[first + at.judged] - 1,
      objectives: objectives[row],
    };
  });
}
