/** Child processes that answer requests one at a time, each within a time limit. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MidasError } from '../../src/errors.ts';

/** Engines that run in Node; PyTorch runs in Python (bench/peers/pytorch.ts). */
export type EngineName = 'midas' | 'tfjs' | 'jax-js' | 'onnxruntime';

/**
 * A request to an engine. `describe` returns version and adapter. `build` builds a case, which the next requests use, and
 * returns its results. `warm` finds out how many runs a timing needs. `time` returns milliseconds per run.
 */
export type Request =
  | { readonly kind: 'describe' | 'warm' | 'time' }
  | { readonly kind: 'build'; readonly name: string };

export type Reply = { readonly value: unknown } | { readonly error: string };

/** An engine that answers requests. */
export interface Contestant {
  readonly name: string;
  /** Sends a request. @throws MidasError with the engine's message, or if the engine has ended or takes too long */
  ask<Value>(request: Request): Promise<Value>;
  /** Ends the engine at any time. */
  stop(): void;
}

export interface ProcessOptions {
  /** Seconds that a request may take; a process that takes longer is ended. */
  readonly seconds: number;
  /** Arguments of Node before the script. */
  readonly execArgv: readonly string[];
}

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));

/** Starts an engine in bench/peers/worker.ts. */
export function startEngine(name: EngineName, adapter: string, clock: string): Contestant {
  // The slowest request: ten training steps of a minute each, on a machine that is also busy with other work.
  return startProcess(name, WORKER, [name, adapter, clock], { seconds: 900, execArgv: ['--import', 'tsx'] });
}

/** Starts a script as an engine. @param script answers every {@link Request} message with one {@link Reply} */
export function startProcess(
  name: string,
  script: string,
  args: readonly string[],
  { seconds, execArgv }: ProcessOptions,
): Contestant {
  const child = fork(script, [...args], {
    execArgv: [...execArgv],
    // Typed arrays stay typed arrays.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  return contestantOf(
    name,
    child,
    (request) => {
      const reply = new Promise<Reply>((resolve) => child.once('message', (message) => resolve(message as Reply)));
      if (child.connected) child.send(request, () => {});
      return reply;
    },
    seconds,
  );
}

/**
 * A process as a contestant.
 * @param exchange sends a request and resolves with the reply; it need not resolve if the process ends
 * @param seconds that a request may take; a process that takes longer is ended
 */
export function contestantOf(
  name: string,
  child: ChildProcess,
  exchange: (request: Request) => Promise<Reply>,
  seconds: number,
): Contestant {
  const stop = () => {
    child.kill('SIGKILL');
  };
  process.once('exit', stop);
  child.once('exit', () => process.off('exit', stop));
  let said = '';
  child.stderr?.on('data', (text) => {
    said = `${said}${text}`.slice(-2000);
  });
  const ended = endOf(child).then((how) => {
    const words = said
      .trim()
      .split('\n')
      .filter((line) => /error/i.test(line))
      .pop();
    return new MidasError(`${name} ${how}${words ? `: ${words.trim()}` : ''}`);
  });
  return {
    name,
    stop,
    async ask<Value>(request: Request): Promise<Value> {
      const reply = exchange(request);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<MidasError>((resolve) => {
        timer = setTimeout(() => {
          stop();
          resolve(
            new MidasError(`${name} took longer than ${seconds} s for a request (${request.kind}) and was ended`),
          );
        }, seconds * 1000);
      });
      const first = await Promise.race([reply, ended, late]);
      clearTimeout(timer);
      if (first instanceof MidasError) throw first;
      if ('error' in first) throw new MidasError(first.error);
      return first.value as Value;
    },
  };
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`did not start: ${error.message}`));
    child.once('close', (code, signal) => resolve(`ended (${signal ?? `exit code ${code}`})`));
  });
}
