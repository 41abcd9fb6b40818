/** Measures whole commands, each in its own process: wall time and peak memory. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atMost, makeRow, type Row } from './rows.ts';

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));

export interface CommandRun {
  readonly seconds: number;
  /** Peak resident memory; undefined on systems without /proc. */
  readonly peakBytes?: number;
}

/**
 * Runs `midas ...args`, by default into a temporary folder.
 * @param out a file or folder that is kept
 * @throws Error with the last line on stderr if the command fails
 */
export async function midas(args: readonly string[], out?: string): Promise<CommandRun> {
  const folder = mkdtempSync(join(tmpdir(), 'midas-bench-'));
  const before = performance.now();
  // Node is started directly: npm or tsx would start it as a child of their own process, whose memory would be measured.
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', MAIN, ...args, '--quiet', '--out', out ?? join(folder, 'run')],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  child.stderr.on('data', (text) => {
    said = `${said}${text}`.slice(-2000);
  });
  let peakBytes: number | undefined;
  const poll = setInterval(() => {
    peakBytes = peakOf(child.pid) ?? peakBytes;
  }, 100);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    if (code !== 0) throw new Error(`midas ${args.join(' ')} ended with ${code}: ${said.trim().split('\n').pop()}`);
    return { seconds: (performance.now() - before) / 1000, peakBytes };
  } finally {
    clearInterval(poll);
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Peak resident memory in bytes, as the Linux kernel records it: only a rise after the last poll is missed. */
function peakOf(pid: number | undefined): number | undefined {
  try {
    const line = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return line ? Number(line[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}

export async function benchDoctor(adapter: string): Promise<Row[]> {
  const { seconds } = await midas(['doctor', '--json', '--adapter', adapter]);
  return [makeRow('midas doctor', [seconds], 's', atMost(30))];
}

export async function benchDemo(adapter: string): Promise<Row[]> {
  const { seconds, peakBytes } = await midas(['demo', '--adapter', adapter]);
  return [
    makeRow('midas demo', [seconds], 's', atMost(240)),
    ...(peakBytes === undefined ? [] : [makeRow('midas demo, peak memory', [peakBytes / 1e6], 'MB', atMost(600))]),
  ];
}
