/** The commands of all READMEs: their options exist, and those of the first page accept what it says that they take. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PNG } from 'pngjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { midas } from '../support/command_line.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

const READMES = (readdirSync(root, { recursive: true }) as string[])
  .filter((path) => /(^|\/)README\.md$/.test(path) && !/(^|\/)(node_modules|dist|runs)\//.test(path))
  .sort();

/** The shell commands in a text, comments removed and continued lines joined. */
function commandsIn(text: string): string[] {
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block.replaceAll('\\\n', ' '));
  return blocks
    .flatMap((block) => block.split('\n'))
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '');
}

const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** The arguments of `npm run midas -- ...` in a line. */
const argumentsIn = (line: string) => /npm run midas -- ([^;|&]*)/.exec(line)?.[1].trim();

const helps = new Map<string, Promise<string>>();
function helpOf(command: string): Promise<string> {
  const known = helps.get(command) ?? midas(...command.split(' '), '--help').then(({ stdout }) => stdout);
  helps.set(command, known);
  return known;
}

describe('the READMEs of the project', () => {
  test.each(READMES)('every option of a command in %s exists', async (path) => {
    for (const line of commandsIn(read(path))) {
      const args = argumentsIn(line)?.split(/\s+/);
      if (!args) continue;
      const [first, second] = args;
      const command = ['memory', 'data'].includes(first) ? `${first} ${second}` : first;
      const help = await helpOf(command);
      for (const flag of args.filter((each) => each.startsWith('--'))) {
        expect(help, `${path}: ${line}`).toMatch(new RegExp(`${flag}[ ,\n]`));
      }
    }
  });

  test('a command that npm runs is a script of the package', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const named = READMES.flatMap((path) => commandsIn(read(path))).flatMap((line) =>
      [...line.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name),
    );
    expect([...new Set(named)].filter((name) => !(name in scripts))).toEqual([]);
  });

  test('the first page reaches the end of its first results within 900 words', () => {
    const [text] = read('README.md').split(/^## More$/m);
    expect(text.length).toBeLessThan(read('README.md').length);
    expect(text.split(/\s+/).length).toBeLessThan(900);
  });

  test('links between files of the project lead somewhere', () => {
    const broken = READMES.flatMap((path) =>
      [...read(path).matchAll(/\]\(([^)#:]+)\)/g)].flatMap(([, target]) => {
        try {
          readFileSync(join(root, dirname(path), target));
          return [];
        } catch (error) {
          return (error as NodeJS.ErrnoException).code === 'EISDIR' ? [] : [`${path}: ${target}`];
        }
      }),
    );
    expect(broken).toEqual([]);
  });
});

describe('the commands of the first page on a folder of photographs', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'midas-readme-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  beforeAll(() => {
    for (let person = 0; person < 32; person++) {
      const folder = join(scratch, 'photos', `person ${person}`);
      mkdirSync(folder, { recursive: true });
      for (let photograph = 0; photograph < 3; photograph++) {
        const png = new PNG({ width: 40, height: 48 });
        png.data.forEach((_, i) => {
          png.data[i] = (i * (person + 3) + photograph * 31) & 255;
        });
        writeFileSync(join(folder, `${photograph}.png`), PNG.sync.write(png));
      }
    }
  });

  const runs = commandsIn(read('README.md'))
    .map(argumentsIn)
    .filter((args) => args?.startsWith('run ') && !args.includes('net.onnx')) as string[];

  test.each(runs)('midas %s makes an experiment', async (args) => {
    const given = args.split(' ').map((each) => (each === 'photos' ? join(scratch, each) : each));
    const { code, stdout, stderr } = await midas(...given, '--print-config');
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ data: { kind: 'files' } });
  });
});
