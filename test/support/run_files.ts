/** The files of a run as they must be, however often the run was interrupted. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Every file below a folder as text or bytes. Fields that say when and how the run was made are left out: times in
 * results.json, and the report, which repeats them.
 */
export function filesOfRun(dir: string): Map<string, string> {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(dir, name)).isFile(),
  );
  return new Map(
    names.sort().flatMap((name): [string, string][] => {
      if (name === 'report.html') return [[name, '']];
      const bytes = readFileSync(join(dir, name));
      return [[name, name === 'results.json' ? withoutTimes(bytes.toString()) : bytes.toString('base64')]];
    }),
  );
}

/** The text of results.json without times; the order of its keys stays. */
function withoutTimes(text: string): string {
  const { manifest, ...results } = JSON.parse(text);
  const { started: _s, seconds: _t, attackSeconds: _a, command: _c, ...rest } = manifest;
  return JSON.stringify({ manifest: rest, ...results }, null, 1);
}
