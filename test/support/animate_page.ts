/**
 * Makes data/results/page/story.webp: the page while its slider moves from few flipped bits to many, with the results that come with
 * it. Run by itself after a change of the page: `npx tsx test/support/animate_page.ts`. Needs Chromium, and img2webp (Debian's `webp`).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { RATES } from '../../src/web/setting.ts';
import { launchChromium } from './chromium.ts';
import { serveFolder } from './static_server.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FILE = join(ROOT, 'data/results/page/story.webp');
/** The first screen: title, slider, machine and the two counts. */
const VIEW = { width: 1280, height: 930 };
/** Time that a frame is shown, ms; the last stays longer. */
const PACE = 700;
const END = 2500;

const scratch = mkdtempSync(join(tmpdir(), 'midas-animation-'));
const folder = join(scratch, 'page');
await build({ root: join(ROOT, 'src/web'), logLevel: 'error', build: { outDir: folder, emptyOutDir: true } });
const server = await serveFolder(folder);
const browser = await launchChromium();
try {
  const page = await browser.newPage({ viewport: VIEW, colorScheme: 'light' });
  // Without an engine nothing but the shipped results is shown, which need no waiting.
  await page.addInitScript('delete Navigator.prototype.gpu');
  await page.goto(server.url);
  const slider = page.locator('#slider input[type=range]');
  await slider.focus();
  await slider.press('Home');
  const frames: string[] = [];
  for (let i = 0; i < RATES.length; i++) {
    if (i > 0) await slider.press('ArrowRight');
    await page.waitForTimeout(400);
    const path = join(scratch, `${String(i).padStart(3, '0')}.png`);
    await page.screenshot({ path });
    frames.push(path);
  }
  const timed = frames.flatMap((path, i) => [
    '-d',
    String(i === frames.length - 1 ? END : PACE),
    '-lossy',
    '-q',
    '72',
    path,
  ]);
  execFileSync('img2webp', ['-loop', '0', ...timed, '-o', FILE], { stdio: 'inherit' });
} finally {
  await browser.close();
  server.close();
  rmSync(scratch, { recursive: true, force: true });
}
