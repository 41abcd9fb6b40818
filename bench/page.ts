/** Measures the page in Chromium: its bytes, the time to the first picture, and its frames while the engine works. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Browser } from 'playwright-core';
import { build } from 'vite';
import { MidasError } from '../src/errors.ts';
import { findChromium, launchChromium } from '../test/support/chromium.ts';
import { serveFolder } from '../test/support/static_server.ts';
import { atMost, makeRow, type Row } from './rows.ts';
import type { Timing } from './timing.ts';

const ROOT = fileURLToPath(new URL('../src/web', import.meta.url));

/**
 * One visit: seconds to the first picture, which comes with the page, and to the first reconstruction; frames per second and longest frame (ms) while the curve fills in; names of
 * the files that were loaded, without those that only some visits need.
 */
async function visit(
  browser: Browser,
  url: string,
): Promise<{ shown: number; first: number; fps: number; longest: number; loaded: ReadonlySet<string> }> {
  const page = await browser.newPage();
  const loaded = new Set<string>(['index.html']);
  // The requests of the worker are those of the context only.
  page.context().on('request', (request) => loaded.add(basename(new URL(request.url()).pathname)));
  try {
    page.setDefaultTimeout(120_000);
    const before = performance.now();
    await page.goto(url);
    await page.waitForFunction(() => document.body.dataset.shown !== undefined);
    const shown = (performance.now() - before) / 1000;
    await page.waitForFunction(() => document.body.dataset.seen !== undefined);
    const first = (performance.now() - before) / 1000;
    await page.waitForFunction(() => document.body.dataset.ended === 'measure done');
    await page.click('#curve-run');
    const frames = await page.evaluate(async () => {
      const times: number[] = [performance.now()];
      while (document.body.dataset.ended !== 'curve done') {
        times.push(await new Promise<number>((resolve) => requestAnimationFrame(() => resolve(performance.now()))));
      }
      return times.slice(1).map((time, i) => time - times[i]);
    });
    const total = frames.reduce((sum, frame) => sum + frame, 0);
    return { shown, first, fps: (1000 * frames.length) / total, longest: Math.max(...frames), loaded };
  } finally {
    await page.close();
  }
}

/** @throws MidasError if Chromium is not found */
export async function benchPage(_adapter: string, { rounds }: Timing): Promise<Row[]> {
  if (!findChromium()) throw new MidasError('Chromium was not found: install it, or set MIDAS_CHROMIUM to its path');
  const folder = mkdtempSync(join(tmpdir(), 'midas-bench-page-'));
  let server: Awaited<ReturnType<typeof serveFolder>> | undefined;
  let browser: Browser | undefined;
  try {
    await build({ root: ROOT, logLevel: 'error', build: { outDir: folder, emptyOutDir: true } });
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    server = await serveFolder(folder);
    browser = await launchChromium();
    const visits: Awaited<ReturnType<typeof visit>>[] = [];
    for (let round = 0; round < rounds; round++) visits.push(await visit(browser, `${server.url}?draws=1`));
    const [{ loaded }] = visits;
    const zipped = (which: RegExp) =>
      files
        .filter(({ name }) => loaded.has(name) && which.test(name))
        .reduce((sum, { parentPath, name }) => sum + gzipSync(readFileSync(join(parentPath, name))).length, 0) / 1000;
    const checkpoints = zipped(/\.safetensors$/);
    return [
      makeRow('page, gzipped, without checkpoints', [zipped(/./) - checkpoints], 'kB', atMost(500)),
      makeRow('checkpoints of the page, gzipped', [checkpoints], 'kB'),
      makeRow(
        'page, time to the first picture',
        visits.map(({ shown }) => shown),
        's',
      ),
      makeRow(
        'page, time to the first reconstruction',
        visits.map(({ first }) => first),
        's',
      ),
      makeRow(
        'page, frames per second while the curve fills in',
        visits.map(({ fps }) => fps),
        '1/s',
      ),
      makeRow(
        'page, longest frame while the curve fills in',
        visits.map(({ longest }) => longest),
        'ms',
      ),
    ];
  } finally {
    await browser?.close();
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
