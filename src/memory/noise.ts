/** Additive weight noise, the publication's comparison. Twin of shaders/memory/materialise_noise.wgsl, in float64. */
import { pcg4d } from './hash.ts';

/** Four noise values of scale 1 from one hash: standard normal, or Laplacian with density exp(-|x|) / 2. */
export function noise4(random: Uint32Array, kind: 'gaussian' | 'laplacian'): number[] {
  const u = Array.from(random, (word) => ((word >>> 8) + 1) / 2 ** 24);
  if (kind === 'laplacian') return u.map((value, i) => (random[i] & 1 ? Math.log(value) : -Math.log(value)));
  return [0, 2].flatMap((i) => {
    const r = Math.sqrt(-2 * Math.log(u[i]));
    const angle = 2 * Math.PI * ((random[i + 1] >>> 8) / 2 ** 24);
    return [r * Math.cos(angle), r * Math.sin(angle)];
  });
}

/**
 * weights + scale * noise, rows x stride with zero pads.
 * @param key from readKey
 */
export function noiseTensor(
  weights: Float32Array,
  columns: number,
  stride: number,
  key: readonly [number, number],
  kind: 'gaussian' | 'laplacian',
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
 * Mean square of the change that independent bit flips at `rate` make to one stored code, averaged over `codes`: what the
 * moment-matched noise control uses. With magnitude bits b of weight 2^b u and independent flips, the magnitude's change
 * has mean and variance in closed form; a sign flip mirrors the result.
 */
export function flipVariance(codes: ArrayLike<number>, bits: number, exponent: number, rate: number): number {
  const range = 2 ** (bits - 1);
  const unit = 2 ** exponent;
  let sum = 0;
  for (let i = 0; i < codes.length; i++) {
    const magnitude = codes[i] % range;
    let mean = 0;
    let variance = 0;
    for (let bit = 0; bit < bits - 1; bit++) {
      const weight = 2 ** bit;
      mean += (magnitude & weight ? -1 : 1) * weight * rate;
      variance += weight * weight * rate * (1 - rate);
    }
    // E[(m' - m)^2] without, and E[(m' + m)^2] with a sign flip.
    const same = variance + mean * mean;
    const mirrored = variance + (2 * magnitude + mean) ** 2;
    sum += (1 - rate) * same + rate * mirrored;
  }
  return (sum / codes.length) * unit * unit;
}
