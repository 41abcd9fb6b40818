import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { zipSync } from 'fflate';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { PNG } from 'pngjs';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/random.ts';
import { parseResults } from '../../src/results/results.ts';
import { findChromium, launchChromium } from '../support/chromium.ts';
import { serveFolder } from '../support/static_server.ts';

/** A zip of two PGM files of noise for each class, in a folder per class. */
function photosOfClasses(classes: number, width: number, height: number): Uint8Array {
  const random = new Random(4);
  const photo = (label: number) =>
    Buffer.concat([
      Buffer.from(`P5 ${width} ${height} 255\n`),
      Uint8Array.from({ length: width * height }, () => 8 * label + random.uniformInt(100)),
    ]);
  const files = Array.from({ length: 2 * classes }, (_, i): [string, Uint8Array] => {
    const label = Math.floor(i / 2);
    return [`photos/class${String(label).padStart(2, '0')}/${i % 2}.pgm`, photo(label)];
  });
  return zipSync(Object.fromEntries(files));
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** The folder for screenshots of the page's main states; those in the README are made this way. */
const SCREENSHOTS = process.env.MIDAS_SCREENSHOTS;

if (!findChromium()) console.log('tests of the page skipped: no Chromium found; install one or set MIDAS_CHROMIUM');

const PHONE = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
  deviceScaleFactor: 2,
} satisfies BrowserContextOptions;

describe.runIf(findChromium())('the page in Chromium', () => {
  let folder: string;
  let server: Awaited<ReturnType<typeof serveFolder>>;
  let browser: Browser;
  let page: Page | undefined;
  /** The page that tests share, because opening one takes most of their time. */
  let common: Page | undefined;
  /** Addresses that the pages of a test requested. */
  let requests: string[] = [];
  let complaints: string[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'midas-page-'));
    await build({ root: join(ROOT, 'src/web'), logLevel: 'error', build: { outDir: folder, emptyOutDir: true } });
    server = await serveFolder(folder);
    browser = await launchChromium();
  });
  afterEach(() => {
    const strangers = requests.filter((url) => !url.startsWith(server.url) && !/^(blob|data):/.test(url));
    const said = complaints;
    [requests, complaints] = [[], []];
    expect(strangers, 'requests that left the origin').toEqual([]);
    expect(said, 'errors in the console').toEqual([]);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  async function visit(address = '', options: BrowserContextOptions = {}, before?: string): Promise<Page> {
    await page?.context().close();
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    if (before) await context.addInitScript(before);
    context.on('request', (request) => requests.push(request.url()));
    page = await context.newPage();
    page.setDefaultTimeout(180_000);
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(server.url + address);
    return page;
  }

  /** Continues on the page that the tests before this one used, or visits it. */
  async function sharedPage(): Promise<void> {
    if (page !== undefined && page === common) return;
    common = await visit();
    await ended('measure done');
  }

  const ended = (what: string, timeout = 240_000) =>
    page!.waitForFunction((text) => document.body.dataset.ended === text, what, { timeout });
  /** Waits until the engine has nothing to do. */
  const idle = () => page!.waitForFunction(() => document.body.dataset.running === undefined);
  const accuracy = async () => {
    const text = await page!.locator('[data-row="memory"] .gallery-label span').textContent();
    return Number(/accuracy ([\d.]+)/.exec(text ?? '')?.[1]);
  };
  const pixels = (row: string) =>
    page!
      .locator(`[data-row="${row}"] img`)
      .evaluateAll((all) => all.map((each) => (each as HTMLImageElement).src).join());
  const exported = async (name: string): Promise<Buffer> => {
    const waiting = page!.waitForEvent('download');
    await page!.click(`#curve [data-export="${name}"]`);
    const file = await waiting;
    expect(file.suggestedFilename()).toBe(name);
    return readFileSync(await file.path());
  };
  const shoot = async (name: string) => {
    if (SCREENSHOTS) await page!.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: false });
  };
  /** The serious and critical findings of axe. */
  const accessibility = async () => {
    // Evaluated and not added as a script, which the page's Content-Security-Policy would block.
    await page!.evaluate(readFileSync(AXE, 'utf8'));
    return page!.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: typeof import('axe-core') }).axe.run();
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    });
  };

  it('the page shows faces, and keys on the slider change accuracy and pictures', async () => {
    await sharedPage();
    expect(await page!.locator('[data-row="truth"] img').count()).toBe(10);
    const [before, faces, undefended] = [await accuracy(), await pixels('memory'), await pixels('none')];
    expect(before).toBeGreaterThan(0.5);
    await shoot('story');
    await page!.focus('#strength');
    for (let i = 0; i < 6; i++) await page!.keyboard.press('ArrowRight');
    await idle();
    expect(await page!.locator('#strength-value').textContent()).toBe('6.25 %');
    expect(await accuracy()).toBeLessThan(before);
    expect(await pixels('memory')).not.toBe(faces);
    expect(await pixels('none')).toBe(undefended);
    await shoot('story-many-errors');
    expect(await page!.locator('#live').textContent()).toBe('reconstruction is done');
    expect(await page!.locator('#badge').textContent()).toMatch(/software adapter|on your GPU/);
  });

  it('the page fills in the curve, stops, continues, and exports the files that the command line writes', async () => {
    await sharedPage();
    await page!.fill('#curve-draws', '1');
    await page!.keyboard.press('Tab');
    await page!.selectOption('#control-layers', 'fc1');
    await idle();
    await page!.click('#curve-run');
    await page!.waitForFunction(() => Number(document.querySelectorAll('#curve-table tbody tr').length) >= 4);
    const rows = () => page!.locator('#curve-table tbody tr').count();
    await page!.click('#pause');
    await page!.waitForTimeout(500);
    const paused = await rows();
    await page!.waitForTimeout(1000);
    expect(await rows()).toBe(paused);
    await page!.click('#pause');
    await page!.waitForFunction((count) => document.querySelectorAll('#curve-table tbody tr').length > count, paused);
    await page!.click('#stop');
    await ended('curve stopped');
    await page!.click('#curve-run');
    await ended('curve done');
    await page!.click('#curve summary');
    expect(await page!.locator('#curve-figure > svg').getAttribute('aria-label')).toMatch(/approximate memory/);
    await page!.locator('#curve-title').scrollIntoViewIfNeeded();
    await shoot('curve');
    const results = parseResults(JSON.parse((await exported('results.json')).toString()), 'results.json');
    expect(results.manifest.command).toBe(page!.url());
    expect(page!.url()).toMatch(/\?(.*&)?layers=fc1&draws=1$/);
    const kinds = new Set(results.rows.map(({ condition }) => condition.kind));
    expect([...kinds].sort()).toEqual(['bit-error', 'gaussian', 'none', 'quantised']);
    expect((await exported('results.csv')).toString().split('\n')).toHaveLength(results.rows.length + 2);
    for (const name of ['curve.svg', 'recon.svg'])
      expect((await exported(name)).toString()).toMatch(/^<svg .*<\/svg>/s);
    for (const name of ['curve.png', 'recon.png'])
      expect(PNG.sync.read(await exported(name)).width).toBeGreaterThan(800);
    expect(await accessibility()).toEqual([]);
  });

  it('the page trains a classifier and shows MI-Face running to its end', async () => {
    await sharedPage();
    await page!.selectOption('#model', 'softmax');
    // Counts the different images that are shown of the first reconstruction.
    await page!.evaluate(() => {
      const seen = new Set<string>();
      const faces = document.getElementById('inversion-faces')!;
      new MutationObserver(() => {
        const image = faces.querySelector<HTMLImageElement>('[data-row="none"] img');
        if (image) seen.add(image.src);
        faces.dataset.states = String(seen.size);
      }).observe(faces, { childList: true, subtree: true, attributes: true, attributeFilter: ['src'] });
    });
    await page!.click('#inversion-run');
    await ended('invert done');
    expect(Number(await page!.locator('#inversion-faces').getAttribute('data-states'))).toBeGreaterThan(4);
    expect(await page!.locator('#inversion-faces img').count()).toBe(30);
    expect(await page!.locator('#inversion-numbers tbody tr').count()).toBe(5);
    await page!.locator('#inversion-title').scrollIntoViewIfNeeded();
    await shoot('inversion');
  });

  it('the page draws a fault map that can be zoomed, checks every kernel, and passes axe in the dark theme', async () => {
    await sharedPage();
    await page!.emulateMedia({ colorScheme: 'dark' });
    await page!.click('#map-run');
    await ended('map done');
    const width = () => page!.locator('#map-view canvas').evaluate((canvas) => canvas.getBoundingClientRect().width);
    const before = await width();
    await page!.focus('#map-view');
    await page!.keyboard.press('+');
    expect(await width()).toBe(2 * before);
    const all = await page!.locator('#map-view canvas').getAttribute('aria-label');
    await page!.selectOption('#map-plane', '11');
    const highest = await page!.locator('#map-view canvas').getAttribute('aria-label');
    const flips = (label: string | null) => Number(/^(\d+) of/.exec(label ?? '')?.[1]);
    expect(flips(all)).toBeGreaterThan(5 * flips(highest));
    expect(flips(highest)).toBeGreaterThan(0);
    await page!.locator('#map-title').scrollIntoViewIfNeeded();
    await shoot('fault-map-dark');
    await page!.click('#check-run');
    await ended('check done');
    expect(await page!.locator('#kernels p').textContent()).toMatch(/^(\d+) of \1 kernels agree/);
    expect(await accessibility()).toEqual([]);
    await page!.emulateMedia({ colorScheme: null });
  });

  it('the page accepts images and checkpoints of a visitor and refuses other files', async () => {
    await sharedPage();
    await page!.setInputFiles('#own-images', join(ROOT, 'test/fixtures/cases/jpeg/rgb-stored.jpg'));
    await ended('own done');
    expect(await page!.locator('#own-faces img').count()).toBe(3);
    expect(await page!.locator('#own-faces .note').allTextContents()).toEqual([
      expect.stringMatching(/^PCC /),
      expect.stringMatching(/^PCC /),
    ]);
    await page!.setInputFiles('#own-images', [
      { name: 'me.txt', mimeType: 'text/plain', buffer: Buffer.from('hello') },
    ]);
    await page!.locator('#failure', { hasText: 'me.txt: byte 0: a text file, not PNG, JPEG, PGM or PPM' }).waitFor();

    await page!.setInputFiles('#own-networks', join(ROOT, 'data/deep-tiny/victim.safetensors'));
    await ended('measure done');
    await page!.locator('#adapter-table', { hasText: 'ndf 8, nz 30: victim.safetensors' }).waitFor();
    await page!.click('#own-reset');
    await page!.locator('#adapter-table', { hasText: 'trained by this project' }).waitFor();
    await ended('measure done');
    await page!.setInputFiles('#own-networks', join(ROOT, 'test/fixtures/classifier.pth'));
    await page!.locator('#failure', { hasText: 'people, but the page has faces of 30' }).waitFor();
    await page!.locator('#adapter-table', { hasText: 'trained by this project' }).waitFor();
    await ended('measure done');
    expect(await page!.locator('#own-reset').isHidden()).toBe(true);
    expect(await page!.locator('#failure').isVisible()).toBe(true);
  });

  it('the page attacks a dropped network, and refuses one that it does not support beside the drop zone', async () => {
    await sharedPage();
    await page!.setViewportSize({ width: 1440, height: 1000 });
    const networks = join(ROOT, 'test/fixtures/networks');
    await page!.setInputFiles('#network-files', [
      { name: 'net.onnx', mimeType: '', buffer: readFileSync(join(networks, 'mlp3.onnx')).subarray(0, 5000) },
    ]);
    await page!.locator('#network-failure', { hasText: 'net.onnx: ' }).waitFor();
    expect(await page!.locator('#network-panel').isHidden()).toBe(true);
    await page!.setInputFiles('#network-files', [
      { name: 'mlp3.onnx', mimeType: '', buffer: readFileSync(join(networks, 'mlp3.onnx')) },
      { name: 'photos.zip', mimeType: '', buffer: Buffer.from(photosOfClasses(12, 20, 28)) },
    ]);
    await ended('bring done');
    expect(await page!.locator('#network-failure').isHidden()).toBe(true);
    expect(await page!.locator('#network-summary').textContent()).toMatch(
      /gray images of 20 x 28 pixels .* 12 classes/,
    );
    expect(await page!.locator('#network-accuracy').textContent()).toMatch(
      /^Accuracy without errors: \d+ of 24 images/,
    );
    await page!.locator('#network-layers input').first().uncheck();
    expect(await page!.locator('#network-chosen').textContent()).toBe('2 of 3');
    await page!.click('#network-run');
    await ended('attack done');
    expect(await page!.locator('#network-faces img').count()).toBe(30);
    expect(await page!.locator('#network-numbers tbody tr').count()).toBe(4);
    expect(await page!.locator('#network-curve [data-export="results.json"]').isEnabled()).toBe(true);
    await page!.click('#network-map-run');
    await ended('map done');
    const map = page!.locator('#network-map-view canvas');
    expect(await map.getAttribute('aria-label')).toMatch(/^\d+ of 2112 weights have a flip in any bit$/);
    await page!.click('#network-none');
    for (const job of ['run', 'curve-run', 'map-run'])
      expect(await page!.locator(`#network-${job}`).isDisabled()).toBe(true);
    expect(await page!.locator('#network-curve-why').textContent()).toMatch(/^Choose at least one layer/);
    await page!.click('#network-all');
    await page!.locator('#network-title').scrollIntoViewIfNeeded();
    await shoot('network');
    await page!.setViewportSize({ width: 390, height: 844 });
    expect(await page!.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    await page!.locator('#network-title').scrollIntoViewIfNeeded();
    await shoot('network-phone');
    expect(await accessibility()).toEqual([]);
    await page!.setViewportSize({ width: 1280, height: 900 });
  });

  it('the page reports a lost device and continues after one key press', async () => {
    await sharedPage();
    await page!.click('#map-run');
    await ended('map done');
    const map = () => document.querySelector<HTMLCanvasElement>('#map-view canvas')!.toDataURL();
    const [before, flips] = [await pixels('memory'), await page!.evaluate(map)];
    const session = await browser.newBrowserCDPSession();
    // The answer never comes, because the process that would send it has crashed.
    session.send('Browser.crashGpuProcess').catch(() => {});
    await page!.locator('#lost').waitFor();
    await shoot('lost');
    expect(await pixels('memory')).toBe(before);
    expect(await accessibility()).toEqual([]);
    await page!.keyboard.press('Enter');
    await page!.locator('#lost').waitFor({ state: 'hidden' });
    await idle();
    await page!.waitForFunction(() => document.body.dataset.ended === 'measure done');
    expect(await pixels('memory')).toBe(before);
    await expect.poll(() => page!.evaluate(map), { timeout: 20_000 }).toBe(flips);
  });

  it('the page shows the same numbers again from its address', async () => {
    await visit('?memory=dram-C&volts=1.15&layers=fc1&draw=2&draws=1');
    await ended('measure done');
    expect(await page!.locator('#strength-value').textContent()).toBe('1.150 V, DIMM C3');
    const [first, numbers] = [await pixels('memory'), await page!.locator('#numbers').textContent()];
    // (1.15 V / 1.35 V)^2 is 0.726; weights outside this memory are read at nominal voltage.
    const share = Number(/by V²100 % of nominal([\d.]+) % of nominal/.exec(numbers ?? '')?.[1]);
    expect(share).toBeGreaterThan(72.6);
    expect(share).toBeLessThan(100);
    await page!.reload();
    await ended('measure done');
    expect(await pixels('memory')).toBe(first);
    expect(await page!.locator('#numbers').textContent()).toBe(numbers);
  });

  it('the page fits a phone, reports invalid values in its address, keeps the focus and rejects a number that its address would refuse', async () => {
    await visit('?rate=7&seed=3&draws=1', PHONE);
    await page!
      .locator('#failure', { hasText: 'These parts of the address are not valid; their defaults are used: rate=7' })
      .waitFor();
    await ended('measure done');
    expect(await page!.inputValue('#control-seed')).toBe('3');
    // Only boxes with their own scroll bar are wider than the screen.
    expect(await page!.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    await shoot('phone');
    expect(await accessibility()).toEqual([]);

    // The same page keeps the focus while fields change, and rejects a number that its address would refuse.
    await page!.fill('#control-draw', '4');
    await page!.keyboard.press('Tab');
    expect(await page!.evaluate(() => document.activeElement?.id)).toBe('control-seed');
    await idle();
    expect(page!.url()).toMatch(/draw=4/);
    await page!.fill('#control-seed', '1099511627776');
    await page!.keyboard.press('Tab');
    expect(await page!.inputValue('#control-seed')).toBe('3');
    await idle();
  });

  it('the page without WebGPU says what to do and shows a still of the result', async () => {
    await visit('', {}, 'delete Navigator.prototype.gpu');
    const policy = await page!.locator('meta[http-equiv="Content-Security-Policy"]').getAttribute('content');
    expect(policy).toMatch(/^default-src 'none'; script-src 'self' /);
    expect(policy).not.toContain("'unsafe-eval'");
    await page!.locator('#no-webgpu').waitFor();
    const still = page!.locator('#no-webgpu img');
    await still.scrollIntoViewIfNeeded();
    await page!.waitForFunction(() => document.querySelector<HTMLImageElement>('#no-webgpu img')!.naturalWidth > 0);
    expect(await page!.locator('main').isHidden()).toBe(true);
    expect(await accessibility()).toEqual([]);
    await shoot('no-webgpu');
  });
});
