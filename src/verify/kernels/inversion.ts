/** Checks of the steps of an attack, in shaders/optimizer. */

import type { Program } from '../../gpu/recorder.ts';
import {
  recordInversionJudge,
  recordInversionStep,
  recordSearchDirections,
  recordSearchGradient,
  STATE_WORDS,
} from '../../kernels/inversion.ts';
import { inversionJudge, inversionStep, searchDirections, searchGradient } from '../../reference/mi_face.ts';
import { TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, COLUMNS, DRAW, ITERATION, numbers, pixels, ROWS, SIZE } from './trial.ts';

/** A row that improved, one that did not, one that had stopped, one out of patience, one that arrived. */
function inversionState(): { state: Uint32Array<ArrayBuffer>; results: Float32Array<ArrayBuffer> } {
  const state = new Uint32Array(ROWS * STATE_WORDS);
  const floats = new Float32Array(state.buffer);
  const best = [0.5, 0.5, 0.5, 0.5, 0.5];
  const waited = [1, 1, 1, 3, 0];
  const active = [1, 1, 0, 1, 1];
  for (let row = 0; row < ROWS; row++) {
    floats.set([best[row], 0.25], row * STATE_WORDS);
    state.set([0, waited[row], active[row], 1, 4, 5], row * STATE_WORDS + 2);
  }
  return { state, results: Float32Array.of(0.4, 0.6, 0.7, 0.3, 0.1, 0.9, 0.6, 0.4, 0.01, 0.99) };
}

const SEARCH = { directions: 3, sigma: 0.125, cell: 2, width: 7 };
const SEARCH_STEP = { ...SEARCH, iteration: ITERATION, draw: DRAW };
const prepareSearch = ({ stepWords }: Program) => {
  stepWords[3] = ITERATION;
  stepWords[5] = DRAW;
};

export const INVERSION: readonly Check[] = [
  {
    kernel: 'inversion_judge',
    record(trial) {
      const { state, results } = inversionState();
      const view = trial.buffer(state);
      const stop = { beta: 4, gamma: 0.0625, keep: 'best' } as const;
      recordInversionJudge(trial.recorder, { rows: ROWS, results: trial.buffer(results), state: view, ...stop });
      const expected = state.slice();
      inversionJudge(results, expected, ITERATION, stop.beta, stop.gamma, stop.keep);
      trial.expectWords(view, expected);
    },
    prepare: prepareSearch,
  },
  {
    kernel: 'inversion_step',
    record(trial) {
      const { state, results } = inversionState();
      inversionJudge(results, state, ITERATION, 4, 0.0625, 'best');
      const [x, velocity, kept, gradient] = [pixels(SIZE, 1), numbers(SIZE, 2), pixels(SIZE, 3), numbers(SIZE, 4)];
      const norms = pixels(ROWS, 5).map((value) => value + 1);
      const moved = {
        x: trial.matrix(ROWS, COLUMNS, x),
        velocity: trial.matrix(ROWS, COLUMNS, velocity),
        kept: trial.matrix(ROWS, COLUMNS, kept),
      };
      const options = { momentum: 0.5, normalise: true };
      recordInversionStep(trial.recorder, {
        ...moved,
        ...options,
        gradient: trial.matrix(ROWS, COLUMNS, gradient),
        norms: trial.buffer(norms),
        state: trial.buffer(state),
      });
      const expected = {
        x: Float64Array.from(x),
        velocity: Float64Array.from(velocity),
        kept: Float64Array.from(kept),
      };
      inversionStep(expected, gradient, norms, state, { ...options, rate: 0.25 });
      for (const name of ['x', 'velocity', 'kept'] as const) {
        trial.expectMatrix(moved[name], expected[name], TOLERANCES.sgd);
      }
    },
    prepare({ stepFloats }) {
      stepFloats[4] = 0.25;
    },
  },
  {
    kernel: 'search_directions',
    record(trial) {
      const x = pixels(SIZE, 1);
      const queries = trial.output(2 * SEARCH.directions * ROWS, COLUMNS);
      recordSearchDirections(trial.recorder, { ...SEARCH, x: trial.matrix(ROWS, COLUMNS, x), queries });
      trial.expectMatrix(queries, searchDirections(x, COLUMNS, SEARCH_STEP), TOLERANCES.image);
    },
    prepare: prepareSearch,
  },
  {
    kernel: 'search_gradient',
    record(trial) {
      const results = pixels(4 * SEARCH.directions * ROWS, 1);
      const gradient = trial.output(ROWS, COLUMNS);
      recordSearchGradient(trial.recorder, { ...SEARCH, results: trial.buffer(results), gradient });
      trial.expectMatrix(gradient, searchGradient(results, ROWS, COLUMNS, SEARCH_STEP), TOLERANCES.image);
    },
    prepare: prepareSearch,
  },
];
