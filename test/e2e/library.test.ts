/**
 * The package as other projects get it: its types, the README's example in Chromium from the built files and from a bundle,
 * and, installed by npm, the example in Node, the command line and the software adapter. Every child has a hard timeout.
 */
import { execFile, type SpawnOptions, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { findChromium, launchChromium } from '../support/chromium.ts';
import { collect, type Finished } from '../support/command_line.ts';
import { serveFolder } from '../support/static_server.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'midas-library-'));
// A test runs programs in it as another user.
chmodSync(scratch, 0o755);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const readme = readFileSync(join(root, 'README.md'), 'utf8');
const example = /```js\n([\s\S]*?)```/.exec(readme)![1];

/** The example with the evaluator that takes no training, for all places where it runs but Node, where it is fastest. */
const quickExample = example.replace('attacks: [', "evaluator: 'linear',\n  attacks: [");
if (quickExample === example) throw new Error('the example in the README has no attacks to put the evaluator before');

/** A program that passes a wrong argument and logs the error. */
const mistake = `
import { ConfigError, memory } from 'midas-webgpu';
try {
  memory.parseMemoryConfig({ layers: { fc9: { kind: 'stored' } } }, ['fc1']);
} catch (error) {
  console.log(error instanceof ConfigError ? \`\${error.name}: \${error.message}\` : error);
}
`;

/** The same program for Node. */
const inNode = (text: string) => text.replace(`'${manifest.name}'`, `'${manifest.name}/node'`);

/** A project into which the package is installed. */
const project = join(scratch, 'project');
const installed = join(project, 'node_modules', manifest.name);
const archive = join(scratch, `${manifest.name}-${manifest.version}.tgz`);

async function run(folder: string, command: string, ...args: string[]): Promise<string> {
  // Bundlers read NODE_ENV, which Vitest sets.
  const { NODE_ENV: _, ...env } = process.env;
  const child = promisify(execFile)(command, args, { cwd: folder, env, timeout: 60_000, killSignal: 'SIGKILL' });
  return (await child.catch(({ message, stdout }) => Promise.reject(new Error(`${message}\n${stdout}`)))).stdout;
}

/** Runs a command of a package that this project depends on. */
const runPackage = (folder: string, file: string, ...args: string[]) =>
  run(folder, process.execPath, join(root, 'node_modules', file), ...args);

beforeAll(async () => {
  await run(root, 'npm', 'pack', '--pack-destination', scratch);
  mkdirSync(installed, { recursive: true });
  await run(scratch, 'tar', '-xzf', archive, '--strip-components=1', '-C', installed);
  // Dependencies that npm would install and that the types need.
  for (const name of ['valibot', '@webgpu/types']) {
    expect(manifest.dependencies).toHaveProperty([name]);
    mkdirSync(join(project, 'node_modules', name, '..'), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name));
  }
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'page', private: true, type: 'module' }));
});

it('the package holds its modules, their types, the networks of the demo and nothing else', () => {
  const top = ['LICENSE', 'README.md', 'data', 'dist', 'package.json'];
  expect(readdirSync(installed).sort()).toEqual(top);
  expect(readdirSync(join(installed, 'dist'))).toEqual(['lib']);
  const files = readdirSync(join(installed, 'dist', 'lib'), { recursive: true, encoding: 'utf8' });
  const code = files.filter((name) => extname(name) !== '' && !name.endsWith('.d.ts') && !name.startsWith('chunks'));
  expect(code.sort()).toEqual(['THIRD_PARTY_LICENSES.md', 'index.js', 'midas.js', 'node.js', 'software.js']);
});

describe('the types of the package', () => {
  const check = async (settings: Record<string, string>) => {
    const strict = { noEmit: true, strict: true, target: 'es2022', types: [], skipDefaultLibCheck: true };
    // If the types were not found, this would be no error, and @ts-expect-error would fail.
    const wrong = `import { metrics } from 'midas-webgpu';\n// @ts-expect-error\nmetrics.pcc([0], [1]);\n`;
    const software = `import { openSoftwareWebGpu } from 'midas-webgpu/software';\nexport const open: Promise<GPU> = openSoftwareWebGpu();\n`;
    const files = {
      'example.ts': example,
      'wrong.ts': wrong,
      'node.ts': inNode(example),
      'software.ts': software,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);
    const configuration = { compilerOptions: { ...settings, ...strict }, files: Object.keys(files) };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(configuration));
    return runPackage(project, 'typescript/bin/tsc', '--project', project);
  };

  it('the types compile in a project with a bundler', async () => {
    expect(await check({ module: 'esnext', moduleResolution: 'bundler' })).toBe('');
  });

  it('the types compile in a project without a bundler', async () => {
    expect(await check({ module: 'nodenext', moduleResolution: 'nodenext' })).toBe('');
  });
});

/** Checks the output of the example and the mistake. */
function expectStory(lines: readonly string[]): void {
  const number = /\d\.\d\d/g;
  expect(lines.map((line) => line.replace(number, '#'))).toEqual([
    'Undefended: accuracy #, PCC #',
    'Quantised, no errors (fixed12): accuracy #, PCC #',
    'Bit errors # %, all layers: accuracy #, PCC #',
    'eden-em1: accuracy #, PCC #',
    'ConfigError: memory.layers.fc9: no such layer; this model has fc1',
  ]);
  const numbers = (line: string) => [...line.slice(line.indexOf('accuracy')).matchAll(number)].map(Number);
  const [exact, exactPcc] = numbers(lines[0]);
  const [hurt, hurtPcc] = numbers(lines[2]);
  expect(exact).toBeGreaterThan(0.8);
  expect(exactPcc).toBeGreaterThan(0.3);
  expect(hurt).toBeLessThan(exact);
  expect(hurtPcc).toBeLessThan(exactPcc);
}

const chromium = findChromium();
if (chromium === undefined) {
  console.log('tests of the library in a browser skipped: no Chromium found; install one or set MIDAS_CHROMIUM');
}

describe.skipIf(chromium === undefined)('the example in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());

  /** Serves a folder, opens its page and waits until the page's title is `done`. @returns what it logged */
  async function visit(folder: string): Promise<string[]> {
    const { url: origin, close } = await serveFolder(folder);
    const page = await browser.newPage();
    page.setDefaultTimeout(110_000);
    try {
      const [lines, requests]: [string[], string[]] = [[], []];
      // Messages of the browser itself are not of the type log.
      page.on('console', (message) => message.type() === 'log' && lines.push(message.text()));
      page.on('request', (request) => requests.push(request.url()));
      const failure = new Promise<never>((_, reject) => page.on('pageerror', reject));
      const done = page.goto(origin).then(() => page.waitForFunction(() => document.title === 'done'));
      await Promise.race([failure, done]);
      expect(requests.filter((url) => !url.startsWith(origin))).toEqual([]);
      return lines;
    } finally {
      await page.close();
      close();
    }
  }

  /** Writes a page that runs an example, then the mistake. */
  function writePage(folder: string, text: string, head = ''): void {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'example.js'), text);
    writeFileSync(join(folder, 'mistake.js'), mistake);
    const script = `await import('./example.js'); await import('./mistake.js'); document.title = 'done';`;
    const page = `<!doctype html><link rel="icon" href="data:,">${head}<script type="module">${script}</script>`;
    writeFileSync(join(folder, 'index.html'), page);
  }

  it('the example runs from the built file without a bundler', async () => {
    const site = join(scratch, 'site');
    writePage(site, quickExample, '<script type="importmap">{ "imports": { "midas-webgpu": "./index.js" } }</script>');
    for (const file of ['index.js', 'chunks']) {
      cpSync(join(installed, 'dist', 'lib', file), join(site, file), { recursive: true });
    }
    expectStory(await visit(site));
  });

  it('the example runs from a minified bundle', async () => {
    writePage(project, quickExample);
    await runPackage(project, 'vite/bin/vite.js', 'build', '--base', './');
    expectStory(await visit(join(project, 'dist')));
  });
});

const online = await run(scratch, 'npm', 'view', 'valibot', 'version').then(
  () => true,
  () => false,
);
if (!online) console.log('tests of the installed package skipped: npm reaches no registry');

describe.skipIf(!online)('the package installed by npm into an empty folder', () => {
  const folder = join(scratch, 'installed');

  /** Runs a program to its end, whatever its exit code. */
  const finish = (command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Finished> =>
    collect(spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], ...options }));

  function bytesIn(path: string): number {
    return readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, { parentPath, name }) => sum + lstatSync(join(parentPath, name)).size, 0);
  }

  beforeAll(async () => {
    mkdirSync(folder);
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'other', private: true, type: 'module' }));
    const done = await finish('npm', ['install', '--no-audit', '--no-fund', archive]);
    expect(done.code, done.stderr).toBe(0);
  });

  it('the archive weighs under 1 MB and the installation under 20 MB, without a native part', () => {
    expect(lstatSync(archive).size).toBeLessThan(1e6);
    const modules = join(folder, 'node_modules');
    expect(bytesIn(modules)).toBeLessThan(20e6);
    expect(readdirSync(modules).filter((name) => !name.startsWith('.'))).not.toContain('webgpu');
  });

  it('opening a device in Node without the webgpu package names the command that installs it', async () => {
    for (const [entry, open] of [
      ['node', 'openGpu'],
      ['software', 'openSoftwareWebGpu'],
    ]) {
      const program = `import { ${open}, AdapterError } from 'midas-webgpu/${entry}';
        await ${open}().catch((error) => console.log(error instanceof AdapterError, error.message));`;
      const { stdout, stderr } = await finish(process.execPath, ['--input-type=module', '--eval', program]);
      const version = manifest.peerDependencies.webgpu;
      expect(stdout, stderr).toBe(`true the package webgpu is not installed: npm install webgpu@${version}\n`);
    }
  });

  it('the command line prints one npm command and works after that command has run', async () => {
    const missing = await finish('npx', ['midas-webgpu', 'demo']);
    expect(missing.code).toBe(1);
    const [command] = /^npm install .*$/m.exec(missing.stderr)!;
    const words = command.split(' ');
    expect(words.slice(2)).toEqual(Object.entries(manifest.peerDependencies).map((each) => each.join('@')));
    const installing = await finish(words[0], [...words.slice(1), '--no-audit', '--no-fund']);
    expect(installing.code, installing.stderr).toBe(0);
    const demo = await finish('npx', ['midas-webgpu', 'demo', '--tiny', '--adapter', 'software', '--out', 'demo']);
    expect(demo.code, demo.stderr).toBe(0);
    expect(readdirSync(join(folder, 'demo'))).toEqual(expect.arrayContaining(['report.html', 'recon.png', 'deep']));
  });

  it('the example runs in Node', async () => {
    writeFileSync(join(folder, 'example.js'), inNode(example));
    writeFileSync(join(folder, 'mistake.js'), inNode(mistake));
    const runs = [await finish(process.execPath, ['example.js']), await finish(process.execPath, ['mistake.js'])];
    expect(runs.map(({ code, stderr }) => ({ code, stderr }))).toEqual([0, 0].map((code) => ({ code, stderr: '' })));
    expectStory(runs.flatMap(({ stdout }) => stdout.trimEnd().split('\n')));
  });

  describe('the software adapter in Node', () => {
    const program = `
      import { openSoftwareWebGpu } from 'midas-webgpu/software';
      import { globals } from 'webgpu';
      Object.assign(globalThis, globals);
      const adapter = await (await openSoftwareWebGpu()).requestAdapter();
      const device = await adapter.requestDevice();
      const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
      device.queue.writeBuffer(buffer, 0, new Uint32Array([1, 2, 3, 4]));
      await buffer.mapAsync(GPUMapMode.READ);
      console.log(new Uint32Array(buffer.getMappedRange()).join(), adapter.info.architecture);
      device.destroy();
    `;
    const home = join(scratch, 'home');
    beforeAll(() => {
      writeFileSync(join(folder, 'software.js'), program);
      mkdirSync(home);
    });

    const opened = { code: 0, stdout: '1,2,3,4 swiftshader\n', stderr: '' };

    const hasLoader = (() => {
      try {
        process.dlopen({ exports: {} }, 'libvulkan.so.1');
        return true;
      } catch (error) {
        return !/cannot open shared object/.test(String(error));
      }
    })();
    if (hasLoader) console.log('this machine has a Vulkan loader, so the tests cannot show that none is needed');

    it('the software adapter opens for a user who is not root', async () => {
      const isRoot = process.getuid!() === 0;
      if (isRoot) chownSync(home, 65534, 65534);
      const nobody = isRoot ? { uid: 65534, gid: 65534 } : {};
      const env = { PATH: process.env.PATH, HOME: home };
      expect(await finish(process.execPath, ['software.js'], { ...nobody, env })).toEqual(opened);
      expect(bytesIn(home)).toBeGreaterThan(1e6);
    });

    it('the software adapter opens and closes in a hundred processes', async () => {
      const results: Finished[] = [];
      for (let round = 0; round < 25; round++) {
        const four = Array.from({ length: 4 }, () => finish(process.execPath, ['software.js']));
        results.push(...(await Promise.all(four)));
      }
      expect(results).toEqual(Array.from({ length: 100 }, () => opened));
    });
  });
});
