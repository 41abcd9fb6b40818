/** Checks of the steps of an attack, in shaders/optimizer. */

import type { Program } from '../../gpu/recorder.ts';
import { MI_FACE_STATE, writeFields } from '../../gpu/structs.ts';
import {
  recordAddScaled,
  recordMiFaceJudge,
  recordMiFaceStep,
  recordSearchDirections,
  recordSearchGradient,
  type SearchedImages,
  type SearchOptions,
} from '../../kernels/mi_face.ts';
import { addScaled, miFaceJudge, miFaceStep, searchDirections, searchGradient } from '../../reference/mi_face.ts';
import { TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, COLUMNS, DRAW, ITERATION, numbers, pixels, ROWS, SIZE } from './trial.ts';

/** Five rows: one improved, one did not, one had stopped before, one runs out of patience, and one reaches its target. */
function miFaceState(): { state: Uint32Array<ArrayBuffer>; results: Float32Array<ArrayBuffer> } {
  const state = new Uint32Array(ROWS * MI_FACE_STATE.words);
  const best = [0.5, 0.5, 0.5, 0.5, 0.5];
  const waited = [1, 1, 1, 3, 0];
  const active = [1, 1, 0, 1, 1];
  for (let row = 0; row < ROWS; row++) {
    const values = { best: best[row], confidence: 0.25, waited: waited[row], isActive: active[row] };
    const rest = { objective: 0, retain: 1, bestIteration: 4, judged: 5 };
    writeFields(MI_FACE_STATE, state, { ...values, ...rest }, row * MI_FACE_STATE.words);
  }
  return { state, results: Float32Array.of(0.4, 0.6, 0.7, 0.3, 0.1, 0.9, 0.6, 0.4, 0.01, 0.99) };
}

const SEARCH = { directions: 3, sigma: 0.125, cell: 2, width: 7 };
/** COLUMNS values are 4 lines of 3 pixels of three channels, and one value of the next line. */
const RGB_SEARCH = { ...SEARCH, width: 3, channels: 3 } as const;
const GAUSSIAN_SEARCH = { ...SEARCH, distribution: 'gaussian' } as const;
const prepareSearch = (program: Program) => {
  program.setStep({ iteration: ITERATION });
  program.setStep({ draw: DRAW });
};

function searchesOf(ending: string, search: SearchOptions & SearchedImages, answer: 0 | 1 = 0): Check[] {
  const step = { ...search, iteration: ITERATION, draw: DRAW };
  return [
    {
      kernel: `search_directions${ending}`,
      record(trial) {
        const x = pixels(SIZE, 1);
        const queries = trial.output(2 * search.directions * ROWS, COLUMNS);
        const radii = pixels(ROWS, 2);
        const images = { x: trial.matrix(ROWS, COLUMNS, x), radii: trial.buffer(radii), queries };
        recordSearchDirections(trial.recorder, { ...search, ...images });
        trial.expectMatrix(queries, searchDirections(x, radii, COLUMNS, step), TOLERANCES.image);
      },
      prepare: prepareSearch,
    },
    {
      kernel: `search_gradient${ending}`,
      record(trial) {
        const results = pixels(4 * search.directions * ROWS, 1);
        const gradient = trial.output(ROWS, COLUMNS);
        recordSearchGradient(trial.recorder, { ...search, results: trial.buffer(results), gradient, answer });
        trial.expectMatrix(gradient, searchGradient(results, ROWS, COLUMNS, step, answer), TOLERANCES.image);
      },
      prepare: prepareSearch,
    },
  ];
}

function addScaledCheck(accumulate: boolean): Check {
  return {
    kernel: accumulate ? 'add_scaled accumulate' : 'add_scaled',
    record(trial) {
      const [value, before] = [numbers(4 * SIZE, 1), numbers(4 * SIZE, 2)];
      const sum = trial.buffer(before);
      const options = { vectors: SIZE, scale: 0.375, accumulate };
      recordAddScaled(trial.recorder, { ...options, value: trial.buffer(value), sum });
      const expected = Float64Array.from(before);
      addScaled(expected, value, options.scale, accumulate);
      trial.expect(sum, expected, TOLERANCES.sgd);
    },
  };
}

export const MI_FACE: readonly Check[] = [
  {
    kernel: 'mi_face_judge',
    record(trial) {
      const { state, results } = miFaceState();
      const view = trial.buffer(state);
      const stop = { beta: 4, gamma: 0.0625, keep: 'best' } as const;
      recordMiFaceJudge(trial.recorder, { rows: ROWS, results: trial.buffer(results), state: view, ...stop });
      const expected = state.slice();
      miFaceJudge(results, expected, ITERATION, stop.beta, stop.gamma, stop.keep);
      trial.expectWords(view, expected);
    },
    prepare: prepareSearch,
  },
  {
    kernel: 'mi_face_step',
    record(trial) {
      const { state, results } = miFaceState();
      miFaceJudge(results, state, ITERATION, 4, 0.0625, 'best');
      const [x, velocity, retained, gradient] = [pixels(SIZE, 1), numbers(SIZE, 2), pixels(SIZE, 3), numbers(SIZE, 4)];
      const norms = pixels(ROWS, 5).map((value) => value + 1);
      const moved = {
        x: trial.matrix(ROWS, COLUMNS, x),
        velocity: trial.matrix(ROWS, COLUMNS, velocity),
        retained: trial.matrix(ROWS, COLUMNS, retained),
      };
      const options = { momentum: 0.5, normalise: true };
      recordMiFaceStep(trial.recorder, {
        ...moved,
        ...options,
        gradient: trial.matrix(ROWS, COLUMNS, gradient),
        norms: trial.buffer(norms),
        state: trial.buffer(state),
      });
      const expected = {
        x: Float64Array.from(x),
        velocity: Float64Array.from(velocity),
        retained: Float64Array.from(retained),
      };
      miFaceStep(expected, gradient, norms, state, { ...options, rate: 0.25 });
      for (const name of ['x', 'velocity', 'retained'] as const) {
        trial.expectMatrix(moved[name], expected[name], TOLERANCES.sgd);
      }
    },
    prepare(program) {
      program.setStep({ learningRate: 0.25 });
    },
  },
  addScaledCheck(false),
  addScaledCheck(true),
  ...searchesOf('', SEARCH),
  ...searchesOf('_rgb', RGB_SEARCH),
  ...searchesOf(' gaussian', GAUSSIAN_SEARCH, 1),
];
