/** The command line as a citizen of terminals, shells and pipes: exit codes, one line of error, nothing that acts on a terminal. */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { BUILT, collect, midas, start } from '../support/command_line.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'midas-terminal-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Runs the command line in another folder, or with another standard output. */
function run(args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv; stdout?: number }) {
  const { cwd = root, env, stdout } = options;
  return collect(
    spawn(process.execPath, [BUILT, ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', stdout ?? 'pipe', 'pipe'],
    }),
  );
}

it('the command line runs from its sources without a build', async () => {
  // tsx as a loader, not as a command: signals then reach the program itself.
  const sources = ['--import', 'tsx', 'src/cli/main.ts', '--help'];
  const { code, stdout } = await collect(spawn(process.execPath, sources, { cwd: root }));
  expect(code).toBe(0);
  expect(stdout).toBe((await midas('--help')).stdout);
});

describe('a standard output that takes nothing', () => {
  it.each(['schema results', '--help', 'memory list --json'])(
    'a reader that closes the pipe ends the command quietly: %s',
    async (command) => {
      const { child, finished } = start(command.split(' '));
      child.stdout!.destroy();
      const { code, stderr } = await finished;
      expect(stderr).toBe('');
      expect(code).toBe(141);
    },
  );

  it.runIf(existsSync('/dev/full'))('a full device ends the command with one line', async () => {
    const { code, stderr } = await run(['schema', 'results'], { stdout: openSync('/dev/full', 'w') });
    expect(stderr).toMatch(/^midas: cannot write standard output: .*\n$/);
    expect(code).toBe(141);
  });

  it('errors of the command keep their exit code when nobody reads standard error', async () => {
    const { child, finished } = start(['memory', 'show', 'nothing']);
    child.stderr!.destroy();
    expect((await finished).code).toBe(2);
  });
});

describe('the folder of the user under npm run', () => {
  const here = join(scratch, 'here');
  mkdirSync(here);
  writeFileSync(join(here, 'mine.json'), '{"draws": 9}');
  const asked = ['run', 'shallow', '--config', 'mine.json', '--print-config', '--json'];

  it('paths are relative to the folder in which npm was called', async () => {
    const env = { npm_lifecycle_event: 'midas', INIT_CWD: here };
    const { code, stdout } = await run(asked, { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ draws: 9 });
  });

  it('a script of the same name in another package does not move the command', async () => {
    const env = { npm_lifecycle_event: 'demo', INIT_CWD: scratch };
    expect((await run(asked, { env, cwd: here })).code).toBe(0);
  });

  it('a folder that no longer exists is refused', async () => {
    const env = { npm_lifecycle_event: 'midas', INIT_CWD: join(scratch, 'gone') };
    const { code, stderr } = await run(asked, { env });
    expect(stderr).toMatch(/^midas: INIT_CWD .*gone: no such folder; .*\n$/);
    expect(code).toBe(2);
  });
});

describe('error messages on a terminal', () => {
  const hostile = '\u001b]0;owned\u0007\u009b31m\nx\u202e';
  const written = (name: string, content: string) => {
    const path = join(scratch, name);
    writeFileSync(path, content);
    return path;
  };

  it.each([
    ['an unknown option', () => [`--${hostile}`], 2],
    ['an unknown command', () => [hostile], 2],
    ['a value that is not allowed', () => ['shallow', '--model', hostile], 2],
    ['a value that cannot be parsed', () => ['shallow', '--rates', hostile], 2],
    ['the name of a missing file', () => ['data', 'info', join(scratch, hostile)], 4],
    ['the name of a memory', () => ['memory', 'show', hostile], 2],
    [
      'a key of a file',
      () => ['memory', 'map', written('key.json', JSON.stringify({ layers: { [hostile]: { kind: 'stored' } } }))],
      2,
    ],
    ['the text of a file', () => ['memory', 'map', written('text.json', `{"a": ${hostile}`)], 2],
    ['a name of 100,000 characters', () => ['memory', 'show', 'x'.repeat(100_000)], 2],
    [
      'a layer of 100,000 characters',
      () => [
        'memory',
        'map',
        written('long.json', JSON.stringify({ layers: { ['x'.repeat(1e5)]: { kind: 'stored' } } })),
      ],
      2,
    ],
    ['an empty path', () => ['shallow', '--out', ''], 2],
  ])('%s gives one printable line of fewer than 300 characters', async (_, args, exitCode) => {
    const { code, stderr, stdout } = await midas(...args());
    expect(stdout).toBe('');
    expect(stderr.split('\n')).toHaveLength(2);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is to be found.
    expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(stderr).not.toContain('should not happen');
    expect(stderr.length).toBeLessThan(300);
    expect(code).toBe(exitCode);
  });
});

describe('the cache of the command line', () => {
  const map = ['memory', 'map', '--adapter', 'software', '--quiet', '--out', join(scratch, 'map')];

  it('an empty XDG_CACHE_HOME and an empty HOME leave nothing in the current folder', async () => {
    const cwd = join(scratch, 'cwd');
    mkdirSync(cwd);
    const { code, stderr } = await run(map, { cwd, env: { XDG_CACHE_HOME: '', HOME: '' } });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(readdirSync(cwd)).toEqual([]);
  });

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'a library that was cut in the cache is unpacked again',
    async () => {
      const env = { XDG_CACHE_HOME: join(scratch, 'cache') };
      expect((await run(map, { env })).code).toBe(0);
      const cache = join(scratch, 'cache/midas-webgpu');
      const folder = readdirSync(cache).find((name) => name.startsWith('swiftshader-'))!;
      for (const name of readdirSync(join(cache, folder))) truncateSync(join(cache, folder, name), 50);
      const { code, stderr } = await run(map, { env });
      expect(stderr).toBe('');
      expect(code).toBe(0);
    },
  );
});

it('Ctrl-C ends doctor while kernels are compiled', async () => {
  const { child, finished } = start(['doctor', '--adapter', 'software']);
  await new Promise<void>((resolve) =>
    child.stderr!.on('data', (text) => /no GPU here/.test(String(text)) && resolve()),
  );
  child.kill('SIGINT');
  const { code, stdout, stderr } = await finished;
  expect(stderr).toMatch(/midas: interrupted\n$/);
  expect(stdout).toBe('');
  expect(code).toBe(130);
});
