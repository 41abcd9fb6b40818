/** Float64 references of shaders/loss/round_confidences.wgsl, top_confidences.wgsl and noisy_confidences.wgsl. */
import { releaseStream } from '../kernels/release.ts';
import { pcg4d } from '../memory/hash.ts';
import { roundHalfEven } from '../memory/integer.ts';
import { standardNormals } from './random.ts';
import { logSoftmaxForward, softmaxForward } from './softmax.ts';

/** Rounds confidences. @param logits [rows, columns] @returns logarithms of the rounded confidences, the same shape */
export function roundConfidences(logits: ArrayLike<number>, columns: number, decimals: number): Float64Array {
  const levels = 10 ** decimals;
  const released = new Float64Array(logits.length);
  for (let first = 0; first < logits.length; first += columns) {
    const row = Array.from({ length: columns }, (_, j) => logits[first + j]);
    const largest = Math.max(...row);
    const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
    for (const [j, value] of row.entries()) {
      const rounded = roundHalfEven((Math.exp(value - largest) / sum) * levels) / levels;
      released[first + j] = Math.log(Math.max(rounded, 0.5 / levels));
    }
  }
  return released;
}

/** Releases the `count` largest confidences. @returns logarithms of what an attacker must assume, the shape of logits */
export function topConfidences(logits: ArrayLike<number>, columns: number, count: number): Float64Array {
  const released = logSoftmaxForward(logits, columns);
  for (let first = 0; first < released.length; first += columns) {
    const row = released.subarray(first, first + columns);
    const order = [...row.keys()].sort((a, b) => logits[first + b] - logits[first + a] || a - b);
    const others = order.slice(count);
    const rest = others.reduce((sum, j) => sum + Math.exp(row[j]), 0);
    for (const j of others) row[j] = Math.log(Math.max(rest, 2 ** -126) / others.length);
  }
  return released;
}

/**
 * Adds noise to confidences.
 * @param inputs f32 of the queries, row after row
 * @param draws number of the draw of every row
 * @returns logarithms of the noisy confidences, the shape of logits
 */
export function noisyConfidences(
  logits: ArrayLike<number>,
  columns: number,
  inputs: Float32Array,
  draws: ArrayLike<number>,
  { deviation, seed }: { deviation: number; seed: number },
): Float64Array {
  const released = softmaxForward(logits, columns);
  const rows = released.length / columns;
  const bits = new Uint32Array(Float32Array.from(inputs).buffer);
  const width = inputs.length / rows;
  for (let r = 0; r < rows; r++) {
    let key = Uint32Array.of(0, 0, draws[r], releaseStream(seed));
    const query = bits.subarray(r * width, (r + 1) * width);
    for (let i = 0; i < width; i += 4) {
      const [a, b, c, d] = key.map((word, j) => word ^ (query[i + j] ?? 0));
      key = Uint32Array.from(pcg4d(a, b, c, d));
    }
    const row = released.subarray(r * columns, (r + 1) * columns);
    for (let j = 0; j < columns; j++) {
      const words = pcg4d(key[0] ^ (Math.floor(j / 4) + 1), key[1], key[2], key[3]);
      const pair = j % 4 < 2 ? standardNormals(words[0], words[1]) : standardNormals(words[2], words[3]);
      row[j] += deviation * pair[j % 2];
    }
    const floor = deviation / 2;
    const sum = Math.max(
      row.reduce((total, value) => total + Math.max(0, value), 0),
      floor,
    );
    for (let j = 0; j < columns; j++) row[j] = Math.log(Math.max(row[j], floor) / sum);
  }
  return released;
}
