import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

it('the notes on real GPUs mention every entry point', () => {
  const [, notes] = readFileSync(join(ROOT, 'bench/NOTES.md'), 'utf8').split('## Real GPUs');
  const named = Array.from(notes.matchAll(/`([a-z0-9_*]+)`/g), ([, name]) => {
    return new RegExp(`^${name.replaceAll('*', '.*')}$`);
  });
  const entryPoints = readdirSync(join(ROOT, 'shaders'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.wgsl') && /^@compute/m.test(readFileSync(join(ROOT, 'shaders', file), 'utf8')))
    .map((file) => basename(file, '.wgsl'));
  expect(entryPoints.length).toBeGreaterThan(50);
  expect(entryPoints.filter((name) => !named.some((pattern) => pattern.test(name)))).toEqual([]);
});
