/** Runs the command line as a child process with a hard timeout. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The command line as built for the package: it starts in a fifth of the time that tsx takes. Vitest builds it first. */
export const BUILT = `${root}dist/e2e/midas.js`;

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Collects the output of a child process until it ends. A child that takes longer than five minutes is killed. */
export function collect(child: ChildProcess): Promise<Finished> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (data) => {
    stdout += data;
  });
  child.stderr?.on('data', (data) => {
    stderr += data;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 300_000);
  return new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}

/**
 * Starts the command line.
 * @param env variables added to the environment of the tests
 */
export function start(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { child: ChildProcess; finished: Promise<Finished> } {
  const child = spawn(process.execPath, [BUILT, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
  });
  return { child, finished: collect(child) };
}

/** Runs the command line with these arguments until it ends. */
export const midas = (...args: string[]) => start(args).finished;
