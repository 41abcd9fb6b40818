/** Additive weight noise, for comparison with faults. Reference of shaders/memory/materialise_noise.wgsl, in float64. */
import { type Codec, codeAt } from './codec.ts';
import type { NoiseKind } from './config.ts';
import { floatOfBits } from './floating_point.ts';
import { pcg4d } from './hash.ts';

/** Four noise values of scale 1 from one hash: standard normal, or Laplacian with density exp(-|x|) / 2. */
export function noise4(random: Uint32Array, kind: NoiseKind): number[] {
  const u = Array.from(random, (word) => ((word >>> 8) + 1) / 2 ** 24);
  if (kind === 'laplacian') return u.map((value, i) => (random[i] & 1 ? Math.log(value) : -Math.log(value)));
  return [0, 2].flatMap((i) => {
    const r = Math.sqrt(-2 * Math.log(u[i]));
    const angle = 2 * Math.PI * ((random[i + 1] >>> 8) / 2 ** 24);
    return [r * Math.cos(angle), r * Math.sin(angle)];
  });
}

/**
 * Returns weights + scale * noise, rows x stride, with zeros in the padding.
 * @param key hash key from readKey
 */
export function noiseTensor(
  weights: Float32Array,
  columns: number,
  stride: number,
  key: readonly [number, number],
  kind: NoiseKind,
  scale: number,
): Float64Array {
  const result = new Float64Array(weights.length);
  for (let i = 0; i < weights.length / 4; i++) {
    const noise = noise4(pcg4d(i, 0, key[0], key[1]), kind);
    for (let j = 0; j < 4; j++) {
      const at = 4 * i + j;
      if (at % stride < columns) result[at] = weights[at] + scale * noise[j];
    }
  }
  return result;
}

/**
 * Mean square of the change of a weight that independent bit flips at `rate` cause, averaged over a tensor. The
 * moment-matched noise control uses it. As bit b of a code weighs 2^b units and flips independently, the mean and the
 * variance of the change have a closed form; in sign-magnitude a flip of the sign bit mirrors the result.
 * @param words packed codes, rows padded to a stride
 * @param signMagnitude true for sign-magnitude, false for two's complement, whose highest bit weighs -2^(n-1) units
 */
export function flipVariance(
  words: Uint32Array,
  { rows, columns, stride }: { rows: number; columns: number; stride: number },
  codec: Codec,
  signMagnitude: boolean,
  rate: number,
): number {
  const { bits } = codec;
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const unit = Math.abs(floatOfBits(codec.decode(1, row)));
    let units = 0;
    for (let column = 0; column < columns; column++) {
      const code = codeAt(words, row * stride + column, codec.storageBits);
      let mean = 0;
      let variance = 0;
      for (let bit = 0; bit < (signMagnitude ? bits - 1 : bits); bit++) {
        const weight = 2 ** bit * (!signMagnitude && bit === bits - 1 ? -1 : 1);
        mean += ((code >>> bit) & 1 ? -1 : 1) * weight * rate;
        variance += weight * weight * rate * (1 - rate);
      }
      const same = variance + mean * mean; // E[(m' - m)^2]
      const magnitude = code % 2 ** (bits - 1);
      const mirrored = signMagnitude ? variance + (2 * magnitude + mean) ** 2 : same; // E[(m' + m)^2]
      units += (1 - rate) * same + rate * mirrored;
    }
    sum += units * unit * unit;
  }
  return sum / (rows * columns);
}
