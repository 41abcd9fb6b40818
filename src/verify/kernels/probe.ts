/** Checks of shaders/probe. Their references are here, because only these checks use them. */

import { recordCopy, recordFmaCeiling, recordHashCeiling } from '../../kernels/probe.ts';
import { pcg4d } from '../../memory/hash.ts';
import { sumTolerance } from '../../reference/tolerances.ts';
import type { Check } from './trial.ts';

/** The accumulators of shaders/probe/fma_ceiling.wgsl after 4 x `iterations` steps, summed, lane by lane. */
function fmaSums(invocation: number, iterations: number): number[] {
  const [m, a] = [Math.fround(0.999), invocation * 2 ** -16];
  return [0, 0.25, 0.5, 0.75].map((x) => {
    let sum = 0;
    for (let i = 0; i < 16; i++) {
      let c = x + i * 0.01;
      for (let step = 0; step < 4 * iterations; step++) c = c * m + a;
      sum += c;
    }
    return sum;
  });
}

function hashSums(invocation: number, iterations: number): Uint32Array {
  const all = new Uint32Array(4);
  for (let d = 0; d < 4 * iterations; d++) {
    pcg4d(invocation, d, 0, 0).forEach((word, i) => {
      all[i] ^= word;
    });
  }
  return all;
}

export const PROBES: readonly Check[] = [
  {
    kernel: 'fma_ceiling',
    record(trial) {
      const output = trial.results(64 * 4);
      recordFmaCeiling(trial.recorder, { invocations: 64, iterations: 3, output });
      const expected = Array.from({ length: 64 }, (_, i) => fmaSums(i, 3)).flat();
      trial.expect(output, expected, sumTolerance(16 * 12));
    },
  },
  {
    kernel: 'hash_ceiling',
    record(trial) {
      const output = trial.results(64 * 4);
      recordHashCeiling(trial.recorder, { invocations: 64, iterations: 3, output });
      trial.expectWords(output, Uint32Array.from(Array.from({ length: 64 }, (_, i) => [...hashSums(i, 3)]).flat()));
    },
  },
  {
    kernel: 'copy',
    record(trial) {
      // NaNs of every kind, infinities and denormals: a copy moves bits.
      const words = Uint32Array.from({ length: 260 }, (_, i) => Math.imul(i, 0x01fe_fdfb) >>> 0);
      const output = trial.results(words.length);
      recordCopy(trial.recorder, { bytes: words.byteLength, input: trial.buffer(words), output });
      trial.expectWords(output, words);
    },
  },
];
