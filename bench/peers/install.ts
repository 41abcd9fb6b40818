/** The peers are not dependencies of the project: they are installed beside this file when they are requested. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MidasError } from '../../src/errors.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const MOST_MINUTES = 10;

/** Packages that are not installed, or installed in another version than package.json names. */
export function missingPackages(folder: string): string[] {
  const manifest = (path: string) => JSON.parse(readFileSync(join(folder, path, 'package.json'), 'utf8'));
  return Object.entries<string>(manifest('.').dependencies)
    .filter(([name, version]) => {
      try {
        return manifest(join('node_modules', name)).version !== version;
      } catch {
        return true;
      }
    })
    .map(([name, version]) => `${name}@${version}`);
}

/** Installs the peers if they are absent. @throws MidasError when that fails, as it does offline */
export function installPeers(say: (text: string) => void): void {
  const missing = missingPackages(FOLDER);
  if (missing.length === 0) return;
  say(`installing ${missing.join(', ')} into bench/peers/node_modules, once`);
  const { status, error, stderr } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: FOLDER,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: MOST_MINUTES * 60_000,
    killSignal: 'SIGKILL',
    shell: process.platform === 'win32',
  });
  if (status === 0) return;
  // The first line is a code, the second says what it means.
  const words = (stderr ?? '')
    .split('\n')
    .flatMap((line) => /^npm (?:error|ERR!) (.+)/.exec(line)?.[1] ?? [])
    .slice(0, 2);
  const why = error?.message ?? (words.join(', ') || `exit code ${status}`);
  throw new MidasError(
    `the engines to compare with could not be installed (npm ci in bench/peers: ${why}); it needs the network once`,
  );
}
