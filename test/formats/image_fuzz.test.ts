import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Random } from '../../src/random.ts';
import { attempt, CASES, caseFile } from '../support/images.ts';

/** Damaged files that are decoded; a long run sets more. */
const INPUTS = Number(process.env.MIDAS_FUZZ_INPUTS ?? 400);
const SEED = 17;

/** Lengths, counts and codes at which decoders go wrong. */
const EXTREMES = [0, 1, 2, 0x7f, 0x80, 0xc0, 0xc2, 0xc4, 0xd8, 0xd9, 0xda, 0xfe, 0xff];

/** A damaged copy: bytes changed, cut out, repeated or exchanged with those of another file. */
function damage(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let file = [...bytes];
  const below = (bound: number) => random.uniformInt(Math.max(1, bound));
  // Damage near the start reaches headers more often.
  const place = () => below(random.uniformInt(2) === 0 ? Math.min(64, file.length) : file.length);
  for (let count = 1 + below(4); count > 0; count--) {
    const at = place();
    const length = 1 + below(random.uniformInt(3) === 0 ? 200 : 8);
    switch (random.uniformInt(7)) {
      case 0:
        file[at] ^= 1 << below(8);
        break;
      case 1:
        file[at] = EXTREMES[below(EXTREMES.length)];
        break;
      case 2:
        file.splice(at, length);
        break;
      case 3:
        file.splice(at, 0, ...file.slice(at, at + length));
        break;
      case 4:
        file.splice(at, length, ...Array.from({ length }, () => below(256)));
        break;
      case 5: {
        const from = below(other.length);
        file.splice(at, length, ...other.subarray(from, from + length));
        break;
      }
      default:
        file = file.slice(0, at);
    }
  }
  return Uint8Array.from(file);
}

describe('damaged image files', () => {
  const seeds = ['jpeg', 'pgm', 'png'].flatMap((kind) =>
    readdirSync(join(CASES, kind)).map((name) => caseFile(`${kind}/${name}`)),
  );

  test('every damaged image file gives an image of its stated size or a DataError', async () => {
    const random = new Random(SEED, 0);
    let images = 0;
    for (let i = 0; i < INPUTS; i++) {
      const file = damage(seeds[i % seeds.length], seeds[random.uniformInt(seeds.length)], random);
      const outcome = await attempt(file).catch((error) => {
        throw new Error(`input ${i} of seed ${SEED}: ${error}`, { cause: error });
      });
      if (typeof outcome === 'string') continue;
      images++;
      const { width, height, channels, pixels } = outcome;
      expect(pixels.length, `input ${i} of seed ${SEED}`).toBe(width * height * channels);
    }
    expect(images).toBeGreaterThan(INPUTS / 20);
    expect(images).toBeLessThan(INPUTS);
  }, 3_600_000);
});
