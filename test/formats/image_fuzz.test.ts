import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { fuzz } from '../support/fuzz.ts';
import { attempt, CASES, caseFile } from '../support/images.ts';

/** Damaged files that are decoded; a long run sets more. */
const INPUTS = Number(process.env.MIDAS_FUZZ_INPUTS ?? 400);
const SEED = 17;

test('every damaged image file gives an image of its stated size or a DataError', async () => {
  const files = ['jpeg', 'pgm', 'png'].flatMap((kind) =>
    readdirSync(join(CASES, kind)).map((name) => caseFile(`${kind}/${name}`)),
  );
  const load = async (bytes: Uint8Array) => {
    const outcome = await attempt(bytes);
    if (typeof outcome === 'string') throw new DataError(outcome);
    const { width, height, channels, pixels } = outcome;
    if (pixels.length !== width * height * channels) throw new Error(`${pixels.length} values of ${width}x${height}`);
  };
  const { failures, values, errors } = await fuzz(load, files, INPUTS, SEED);
  expect(failures).toEqual([]);
  expect(values).toBeGreaterThan(INPUTS / 20);
  expect(errors).toBeGreaterThan(INPUTS / 20);
}, 3_600_000);
