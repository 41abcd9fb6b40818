import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('npm run test:long selects every file with tests that only long runs have', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const filters = scripts['test:long'].replace(/^.*--project e2e /, '').split(' ');
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((name) => `test/${name.replaceAll('\\', '/')}`)
    .filter((name) => name.endsWith('.test.ts') && name !== 'test/support/long.test.ts');
  const isLong = (name: string) => /support\/long\.ts|MIDAS_TEST_LONG/.test(readFileSync(join(root, name), 'utf8'));
  const selected = files.filter((name) => filters.some((filter) => name.includes(filter)));
  expect(files.filter(isLong).filter((name) => !selected.includes(name))).toEqual([]);
  // The harness of the fuzzing has quick tests.
  expect(selected.filter((name) => !isLong(name))).toEqual(['test/support/fuzz.test.ts']);
});
