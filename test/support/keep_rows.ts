/**
 * Keeps the results of finished runs under data/results: `npx tsx test/support/keep_rows.ts RUN.. FOLDER` writes
 * FOLDER/<name of the run>/results.json.gz, which `midas report` reads. Values of single people and photographs keep five significant
 * digits, a thousandth of their differences between draws; everything else is as it was measured. Of absolute paths
 * only the last part is kept.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parseResults } from '../../src/results/results.ts';

const DIGITS = 5;

/** Every number in a value with {@link DIGITS} significant digits. */
function rounded(value: unknown): unknown {
  if (typeof value === 'number') return Number(value.toPrecision(DIGITS));
  if (Array.isArray(value)) return value.map(rounded);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, rounded(part)]));
}

const runs = process.argv.slice(2);
const folder = runs.pop();
if (!folder || runs.length === 0) throw new Error('usage: keep_rows.ts RUN.. FOLDER');
for (const run of runs) {
  const file = join(run, 'results.json');
  const results = parseResults(JSON.parse(readFileSync(file, 'utf8')), file);
  const rows = results.rows.map(({ perIdentity, membership, ...row }) => ({
    ...row,
    perIdentity: rounded(perIdentity),
    ...(membership && { membership: rounded(membership) }),
  }));
  const kept = JSON.stringify({ ...results, rows }).replaceAll(/(?<=[ "])\/(?:[^\s"/]+\/)+(?=[^\s"/]+)/g, '');
  parseResults(JSON.parse(kept), file);
  const bytes = gzipSync(kept, { level: 9 });
  const to = join(folder, basename(run));
  mkdirSync(to, { recursive: true });
  writeFileSync(join(to, 'results.json.gz'), bytes);
  console.log(`${join(to, 'results.json.gz')}: ${results.rows.length} rows, ${bytes.length} bytes`);
}
