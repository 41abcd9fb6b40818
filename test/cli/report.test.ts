import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, inflateSync } from 'node:zlib';
import { Command } from 'commander';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { svgToPdf } from '../../src/cli/pdf.ts';
import { decodePng } from '../../src/cli/render.ts';
import { type ReportArguments, reportCommand } from '../../src/cli/report.ts';
import { addReportCommands } from '../../src/cli/report_commands.ts';
import { Session } from '../../src/cli/session.ts';
import { ConfigError, DataError } from '../../src/errors.ts';
import { MEAN_FACE_FILE } from '../../src/experiments/experiment.ts';
import { pictureFile } from '../../src/results/labels.ts';
import { encodePictures } from '../../src/results/pictures.ts';
import type { Presentation } from '../../src/results/presentation.ts';
import { fakeResults } from '../results/fake.ts';

const scratch = mkdtempSync(join(tmpdir(), 'midas-report-'));
const TRUTH = 'pictures/truth.npy';
const dirs = [1, 2].map((seed) => join(scratch, `seed-${seed}`));

beforeAll(() => {
  for (const [i, dir] of dirs.entries()) {
    const results = fakeResults({ draws: 2, identities: 4, perLayer: true });
    results.manifest.seed = i + 1;
    results.manifest.config = { ...results.manifest.config, seed: i + 1 };
    mkdirSync(dir);
    writeFileSync(join(dir, 'results.json'), JSON.stringify(results));
    const images = results.rows[0].perIdentity.pcc.map((_, person) => new Float32Array(4).fill(person / 4));
    const pictures = encodePictures({ width: 2, height: 2, images });
    mkdirSync(join(dir, 'pictures'));
    const files = results.rows.map(({ condition, attack }) => pictureFile(condition, attack));
    for (const file of [...files, TRUTH, MEAN_FACE_FILE]) writeFileSync(join(dir, file), pictures);
    const presentation: Presentation = {
      width: 2,
      height: 2,
      trainAccuracy: 1,
      evaluators: { linear: i === 0 ? 0.91 : 0.83 },
      procedural: true,
      meanFaceOf: 'public',
      attacks: [
        {
          name: 'inversion',
          kind: 'inversion',
          title: 'Inversion',
          photographs: true,
          split: 'training',
          shown: images.map((_, person) => `person ${person}`),
          truth: TRUTH,
        },
      ],
      order: { conditions: [], together: [], draws: [], attacks: [] },
    };
    writeFileSync(join(dir, 'presentation.json'), JSON.stringify(presentation));
  }
});
afterAll(() => rmSync(scratch, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

/** Runs the command. @returns its JSON answer and the folder of its files */
async function report(args: Partial<ReportArguments>) {
  const out = mkdtempSync(join(scratch, 'out-'));
  const session = new Session({ out, seed: 1, adapter: 'auto', json: true, quiet: true }, []);
  const answer = vi.spyOn(session, 'answer').mockImplementation(() => {});
  await reportCommand(session, {
    dirs: dirs.slice(0, 1),
    format: ['svg'],
    theme: 'light',
    latex: false,
    markdown: false,
    ...args,
  });
  return { out, json: answer.mock.calls[0][0] as { files: string[]; seeds: number[]; answer: string } };
}

const read = (...path: string[]) => readFileSync(join(...path), 'utf8');

describe('the command midas report', () => {
  test('midas report redraws the figures of a run, with tables and a report, and writes nothing into the run', async () => {
    const before = readdirSync(dirs[0]);
    const { out, json } = await report({ format: ['png', 'svg'], latex: true });
    const files = [
      'recognition.svg',
      'recognition.png',
      'curve.svg',
      'curve.png',
      'layers.svg',
      'layers.png',
      'results.csv',
      'summary.csv',
      'table.tex',
      'report.html',
    ];
    expect(json.files).toEqual(files);
    expect(readdirSync(out).sort()).toEqual([...files].sort());
    expect(decodePng(readFileSync(join(out, 'curve.png'))).width).toBe(1400);
    expect(read(out, 'curve.svg')).toContain('@font-face');
    expect(read(out, 'table.tex')).toContain('\\begin{tabular}{lrlllll}');
    const page = read(out, 'report.html');
    // The truth, the undefended model and at most three settings, one picture per person.
    const rows = Array.from(page.matchAll(/<div class="strip"/g)).length;
    expect(rows).toBeGreaterThan(2);
    expect(rows).toBeLessThanOrEqual(5);
    expect(Array.from(page.matchAll(/src="data:image\/png;base64,/g))).toHaveLength(4 * rows);
    expect(page.replaceAll('\u00a0', ' ')).toContain(`<p class="answer">${json.answer}</p>`);
    expect(readdirSync(dirs[0])).toEqual(before);
  });

  test('midas report writes summary and comparisons as Markdown, with what the evaluators know of real photographs', async () => {
    const { out } = await report({ dirs, markdown: true });
    const tables = read(out, 'tables.md');
    expect(tables).toContain(
      '### Conditions\n\n| Condition | Attack | Seeds | Draws | Accuracy | PCC with the right person |',
    );
    expect(tables).toContain('### Comparisons');
    expect(tables).toMatch(/\| Bit errors 0\.39 %, fc1 \+ fc2 \| inversion \| 2 \| 4 \| 0\.8\d\d /);
  });

  test('midas report aggregates several seeds', async () => {
    const { out, json } = await report({ dirs });
    expect(json.seeds).toEqual([1, 2]);
    expect(read(out, 'summary.csv').split('\r\n')[0]).toContain('seeds');
    expect(read(out, 'report.html')).toContain('The pictures are those of seed 1');
  });

  test('midas report repeats the notes of a run, and names the seed of notes that differ between runs', async () => {
    const one = read((await report({})).out, 'report.html');
    expect(one).toContain('<li>The linear evaluators recognise 91\u00a0%');
    const both = read((await report({ dirs })).out, 'report.html');
    expect(both).toContain('<li>Seed 1: The linear evaluators recognise 91\u00a0%');
    expect(both).toContain('<li>Seed 2: The linear evaluators recognise 83\u00a0%');
    expect(both.split('The faces are procedural, drawn by a program:')).toHaveLength(2);
  });

  test('midas report reads results that are compressed, and refuses a damaged file', async () => {
    const dir = join(scratch, 'compressed');
    mkdirSync(dir);
    const bytes = gzipSync(readFileSync(join(dirs[0], 'results.json')));
    writeFileSync(join(dir, 'results.json.gz'), bytes);
    const [plain, compressed] = [await report({}), await report({ dirs: [dir] })];
    expect(read(compressed.out, 'results.csv')).toBe(read(plain.out, 'results.csv'));
    writeFileSync(join(dir, 'results.json.gz'), bytes.subarray(0, 100));
    await expect(report({ dirs: [dir] })).rejects.toThrow(/results\.json\.gz: not a file of gzip, or a damaged one/);
  });

  test('midas report takes a theme and a title', async () => {
    const { out } = await report({ theme: 'dark', title: 'Faces & memories' });
    expect(read(out, 'curve.svg')).toContain('fill="#16181b"');
    expect(read(out, 'curve.svg')).toContain('Faces &amp; memories');
    expect(read(out, 'report.html')).toContain('<title>Faces &amp; memories</title>');
  });

  test('midas report writes PDF whose text can be selected', async () => {
    const { out } = await report({ format: ['pdf'] });
    const pdf = readFileSync(join(out, 'curve.pdf'));
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    expect(existsSync(join(out, 'curve.svg'))).toBe(false);
    expect(pdf.toString('latin1')).toMatch(/\/FontName \/[A-Z]+\+Inter/);
  });

  test('midas report refuses a folder without results, runs that do not belong together, and unknown options', async () => {
    await expect(report({ dirs: [scratch] })).rejects.toThrow(
      new DataError(`${join(scratch, 'results.json')}: no such file; give the folder of a finished run`),
    );
    await expect(report({ dirs: [dirs[0], dirs[0]] })).rejects.toThrow(/seed is 1, as in/);
    await expect(report({ format: ['gif'] })).rejects.toThrow(
      new ConfigError('--format gif: choose among svg, png, pdf'),
    );
    await expect(report({ theme: 'sepia' })).rejects.toThrow(ConfigError);
    await expect(report({ dirs: [] })).rejects.toThrow(ConfigError);
  });

  test('midas report accepts its options on the command line', async () => {
    const program = new Command().exitOverride();
    const common = (command: Command, out: string) =>
      command.option('--out <dir>', '', out).option('--seed <n>', '', Number, 1).option('--quiet', '', true);
    addReportCommands(program, { common, args: [] });
    const out = mkdtempSync(join(scratch, 'out-'));
    vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
    await program.parseAsync(['report', dirs[0], '--format', 'svg', '--theme', 'print', '--latex', '--out', out], {
      from: 'user',
    });
    expect(readdirSync(out)).toEqual(expect.arrayContaining(['curve.svg', 'report.html', 'table.tex']));
  });
});

describe('a figure as PDF', () => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="40" font-family="Inter">' +
    '<text x="5" y="28" font-weight="600">Hello</text><text x="5" y="38">World</text></svg>';

  test('a PDF is a page as large as the figure, with the same bytes each time', async () => {
    const pdf = Buffer.from(await svgToPdf(svg, 'Title'));
    expect(pdf.toString('latin1')).toContain('/MediaBox [0 0 150 30]');
    expect(pdf.equals(Buffer.from(await svgToPdf(svg, 'Title')))).toBe(true);
  });

  test('a PDF has the letters of its text in one font per weight, with the characters that they mean', async () => {
    const pdf = Buffer.from(await svgToPdf(svg, 'Title')).toString('latin1');
    const names = new Set(Array.from(pdf.matchAll(/\/FontName \/[A-Z]+\+([\w-]+)/g), ([, name]) => name));
    expect(names).toEqual(new Set(['Inter-SemiBold', 'Inter-Regular']));
    const streams = Array.from(pdf.matchAll(/stream\n([\s\S]*?)\nendstream/g), ([, content]) => {
      try {
        return inflateSync(Buffer.from(content, 'latin1')).toString('latin1');
      } catch {
        return '';
      }
    });
    // A table from glyphs to characters makes the text selectable: H, e, l, o.
    expect(streams.some((text) => /beginbfrange[\s\S]*<0048> <0065> <006c> <006f>/.test(text))).toBe(true);
  });

  test('a text that is not an SVG is refused', async () => {
    await expect(svgToPdf('<b/>', 'x')).rejects.toThrow(new DataError('x: not an SVG with a width and a height'));
  });
});

test('a report of an unfinished run says how to finish it', async () => {
  const dir = mkdtempSync(join(scratch, 'unfinished-'));
  await expect(report({ dirs: [dir] })).rejects.toThrow('give the folder of a finished run');
  writeFileSync(join(dir, 'config.json'), '{}');
  await expect(report({ dirs: [dir] })).rejects.toThrow('not finished; finish it: the same command with --resume');
});
