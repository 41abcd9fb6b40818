/** Installs the peers beside this file, on request only: they are not dependencies of the project. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MidasError } from '../../src/errors.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const MOST_MINUTES = 10;

/** Packages of package.json that are not installed, or not in its version. @returns `name@version` for each */
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

/** Installs the peers if they are not installed yet. @throws MidasError if that fails, for example offline */
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
  // npm's first line is an error code, the second explains it.
  const words = (stderr ?? '')
    .split('\n')
    .flatMap((line) => /^npm (?:error|ERR!) (.+)/.exec(line)?.[1] ?? [])
    .slice(0, 2);
  const why = error?.message ?? (words.join(', ') || `exit code ${status}`);
  throw new MidasError(
    `the engines to compare with could not be installed (npm ci in bench/peers: ${why}); the installation needs the network`,
  );
}
