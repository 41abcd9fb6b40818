/** Deletes the declarations in dist/lib that no entry of the package reaches: a third of what tsc writes there. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../dist/lib', import.meta.url));
const reached = new Set<string>();
const waiting = ['index', 'node', 'software'].map((entry) => join(folder, `${entry}.d.ts`));
for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
  if (reached.has(file)) continue;
  reached.add(file);
  for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from|import|import\()\s*['"](\.[^'"]+)\.ts['"]/g)) {
    waiting.push(resolve(dirname(file), `${path}.d.ts`));
  }
}
for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
  const file = join(folder, name);
  if (name.endsWith('.d.ts') && !reached.has(file)) rmSync(file);
}
