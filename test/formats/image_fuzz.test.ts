import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { type FuzzCounts, fuzz } from '../support/fuzz.ts';
import { attempt, CASES, caseFile } from '../support/images.ts';
import { longTest } from '../support/long.ts';

/** Decodes damaged files, each of which must give an image of its stated size or a DataError. */
async function decodeDamaged(inputs: number, seed: number): Promise<FuzzCounts> {
  const files = ['jpeg', 'pgm', 'png'].flatMap((kind) =>
    readdirSync(join(CASES, kind)).map((name) => caseFile(`${kind}/${name}`)),
  );
  const load = async (bytes: Uint8Array) => {
    const outcome = await attempt(bytes);
    if (typeof outcome === 'string') throw new DataError(outcome);
    const { width, height, channels, pixels } = outcome;
    if (pixels.length !== width * height * channels) throw new Error(`${pixels.length} values of ${width}x${height}`);
  };
  const counts = await fuzz(load, files, inputs, seed);
  expect(counts.failures).toEqual([]);
  expect(counts.values).toBeGreaterThan(inputs / 20);
  expect(counts.errors).toBeGreaterThan(inputs / 20);
  return counts;
}

test('every damaged image file gives an image of its stated size or a DataError', async () => {
  await decodeDamaged(400, 17);
});

longTest('every one of 100,000 damaged image files gives an image of its stated size or a DataError', 120, async () => {
  const { failures, ...counts } = await decodeDamaged(100_000, 18);
  console.error(`images: ${JSON.stringify(counts)}`);
});
