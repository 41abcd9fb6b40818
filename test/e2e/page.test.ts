import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { zipSync } from 'fflate';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { PNG } from 'pngjs';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/random.ts';
import { parseResults } from '../../src/results/results.ts';
import { verdictOf } from '../../src/results/verdict.ts';
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
/** The folder for screenshots of the page; those in the README and its preview image are made this way. */
const SCREENSHOTS = process.env.MIDAS_SCREENSHOTS;

if (!findChromium()) console.log('tests of the page skipped: no Chromium found; install one or set MIDAS_CHROMIUM');

const PHONE = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
  deviceScaleFactor: 2,
} satisfies BrowserContextOptions;

/** As a strict host sends it, in addition to the policy of the page itself. */
const STRICT = { 'content-security-policy': "default-src 'self'" };
const NO_WEBGPU = 'delete Navigator.prototype.gpu';

/** Collects the layout shifts of a page from its first paint on. */
const WATCH_SHIFTS = `
  globalThis.shifts = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) globalThis.shifts += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });`;

describe.runIf(findChromium())('the page in Chromium', () => {
  let folder: string;
  let server: Awaited<ReturnType<typeof serveFolder>>;
  let strict: Awaited<ReturnType<typeof serveFolder>>;
  let browser: Browser;
  let page: Page | undefined;
  /** The page with an engine that tests share, because opening one takes most of their time. */
  let common: Page | undefined;
  /** Addresses that the pages of a test requested. */
  let requests: string[] = [];
  let complaints: string[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'midas-page-'));
    await build({ root: join(ROOT, 'src/web'), logLevel: 'error', build: { outDir: folder, emptyOutDir: true } });
    server = await serveFolder(folder);
    strict = await serveFolder(folder, STRICT);
    browser = await launchChromium();
  });
  afterEach(() => {
    const own = [server.url, strict.url];
    const strangers = requests.filter((url) => !own.some((each) => url.startsWith(each)) && !url.startsWith('blob:'));
    const said = complaints;
    [requests, complaints] = [[], []];
    expect(strangers, 'requests that left the origin').toEqual([]);
    expect(said, 'errors in the console').toEqual([]);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    strict?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  async function visit(url: string, options: BrowserContextOptions = {}, before = ''): Promise<Page> {
    await page?.context().close();
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    await context.addInitScript(WATCH_SHIFTS + before);
    context.on('request', (request) => requests.push(request.url()));
    page = await context.newPage();
    page.setDefaultTimeout(90_000);
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(url);
    await page.waitForFunction(() => document.body.dataset.shown !== undefined);
    return page;
  }

  /** Continues on the page that the tests before this one used, or visits it. */
  async function sharedPage(): Promise<void> {
    if (page !== undefined && page === common) return;
    common = await visit(`${server.url}?draws=1`);
    await ended('measure done');
  }

  const ended = (what: string, timeout = 240_000) =>
    page!.waitForFunction((text) => document.body.dataset.ended === text, what, { timeout });
  /** Waits until the engine has nothing to do. */
  const idle = () => page!.waitForFunction(() => document.body.dataset.running === undefined);
  const text = (selector: string) => page!.locator(selector).textContent();
  /** The count of a score: 76 for `76 of 180`. */
  const count = async (of: 'owner' | 'attacker') => Number(/^\d+/.exec((await text(`#${of}-count`)) ?? '')?.[0]);
  /** A hash of the pictures of a row of people. */
  const pixels = async (row: 'truth' | 'none' | 'memory') => {
    const urls = await page!
      .locator(`#faces [data-row="${row}"]`)
      .evaluateAll((all) => all.map((each) => (each as HTMLCanvasElement).toDataURL()));
    return createHash('sha256').update(urls.join()).digest('hex');
  };
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
  /** The serious and critical findings of axe, in all chapters. */
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
  /** True if an element lies in the viewport. */
  const isInside = (selector: string) =>
    page!.locator(selector).evaluate((element) => {
      const { top, bottom } = element.getBoundingClientRect();
      return top >= 0 && bottom <= innerHeight;
    });
  /** The value of the slider is part of the sentence about the memory. */
  const expectAgreement = async () => expect(await text('#said-strength')).toContain(await text('#strength-value'));

  describe('without WebGPU, under a strict policy', () => {
    it.each([
      ['a phone', { ...PHONE, viewport: { width: 360, height: 740 }, colorScheme: 'dark', reducedMotion: 'reduce' }],
      ['a tablet', { viewport: { width: 768, height: 1024 } }],
      ['a desktop', { viewport: { width: 1440, height: 900 } }],
    ] satisfies [string, BrowserContextOptions][])(
      'the page shows what came with it on %s, moves it with the slider, stays still and passes axe',
      async (name, options) => {
        await visit(strict.url, options, NO_WEBGPU);
        await shoot(name.replace('a ', ''));
        const [before, faces, undefended] = [await count('owner'), await pixels('memory'), await pixels('none')];
        expect(await page!.locator('#faces button').count()).toBe(10);
        await expectAgreement();
        await page!.focus('#strength');
        await page!.keyboard.press('ArrowRight');
        await expectAgreement();
        expect(await text('#strength-value')).toBe('4.42 %');
        expect(await count('owner')).toBeLessThan(before);
        expect(await pixels('memory')).not.toBe(faces);
        expect(await pixels('none')).toBe(undefended);
        expect(await page!.evaluate(() => document.documentElement.scrollWidth)).toBe(options.viewport.width);
        expect(await page!.evaluate(() => (globalThis as unknown as { shifts: number }).shifts)).toBeLessThan(0.05);
        expect(await page!.locator('#no-webgpu').isVisible()).toBe(true);
        expect(await accessibility()).toEqual([]);
      },
    );

    // These tests continue on the desktop's page.
    it('back and forward go through the states of the page, each of which has an address', async () => {
      const states: unknown[] = [];
      const state = async () => [
        page!.url(),
        await text('#strength-value'),
        await count('owner'),
        await pixels('memory'),
      ];
      states.push(await state());
      await page!.keyboard.press('End');
      states.push(await state());
      await page!.click('#faces button >> nth=4');
      expect(page!.url()).toMatch(/person=4$/);
      await page!.goBack();
      expect(await state()).toEqual(states[1]);
      await page!.goBack();
      expect(await state()).toEqual(states[0]);
      await page!.goForward();
      expect(await state()).toEqual(states[1]);
    });

    it('words and parts of the machine light up together', async () => {
      await page!.hover('.ref[data-part="memory"]');
      expect(await page!.locator('.part.lit').getAttribute('data-part')).toBe('memory');
      await page!.hover('.part[data-part="photo"]');
      expect(await text('.ref.lit')).toBe('photograph');
    });

    it('MI-Face plays when its chapter is reached', async () => {
      // Counts the different pictures that are shown of the first reconstruction.
      await page!.evaluate(() => {
        const seen = new Set<string>();
        const label = document.getElementById('play-iteration')!;
        new MutationObserver(() => {
          const canvas = document.querySelector<HTMLCanvasElement>('#inversion-faces [data-row="memory"] canvas')!;
          seen.add(canvas.toDataURL());
          label.dataset.states = String(seen.size);
        }).observe(label, { childList: true });
      });
      await page!.locator('#inversion-faces').scrollIntoViewIfNeeded();
      await page!.locator('#play-iteration[data-states="8"]', { hasText: 'iteration 60 of 60' }).waitFor();
      expect(await text('#inversion-said')).toMatch(/^The classifier names \d+ of 120 photographs right/);
    });

    it('points of the curve show their faces when they are pointed at, and arrow keys walk through them', async () => {
      const faces = () =>
        page!
          .locator('#curve-plot canvas')
          .evaluateAll((all) => all.map((each) => (each as HTMLCanvasElement).toDataURL()));
      await page!.hover('#curve-plot .point.none');
      expect(await text('#curve-plot h3')).toBe('No errors');
      const errorFree = await faces();
      expect(errorFree).toHaveLength(10);
      await page!.click('#curve-plot .point >> nth=19');
      const titles = [await text('#curve-plot h3')];
      await page!.keyboard.press('ArrowLeft');
      titles.push(await text('#curve-plot h3'));
      expect(titles).toEqual(['12.5 % of the bits flip', '8.84 % of the bits flip']);
      expect(await faces()).not.toEqual(errorFree);
      expect((await faces()).slice(0, 5)).toEqual(errorFree.slice(0, 5));
    });

    it('the page that is opened from a file says what is wrong', async () => {
      const context = await browser.newContext();
      const opened = await context.newPage();
      await opened.goto(pathToFileURL(join(folder, 'index.html')).href);
      await opened.locator('#not-started', { hasText: 'it must come from a web server' }).waitFor();
      expect(await opened.evaluate(() => getComputedStyle(document.body).margin)).toBe('0px');
      await context.close();
    });
  });

  it('the engine takes over from the shipped results, and other choices are dimmed until they are measured', async () => {
    await sharedPage();
    const [named, truth] = [await count('owner'), await pixels('truth')];
    await page!.locator('#numbers tbody tr').first().waitFor({ state: 'attached' });
    expect(await text('#badge')).toMatch(/software adapter|on your GPU/);
    expect(await text('#live')).toBe('reconstruction is done');
    await page!.click('#more summary');
    await page!.selectOption('#control-memory', 'dram-C');
    expect(await page!.locator('#machine').getAttribute('class')).toMatch(/stale/);
    await expectAgreement();
    await page!.selectOption('#control-layers', 'fc1');
    await page!.locator('#machine:not(.stale)').waitFor();
    await idle();
    expect(await count('owner')).not.toBe(named);
    expect(await pixels('truth')).toBe(truth);
    // (1.2 V / 1.35 V)^2 is 0.790; weights outside this memory are read at nominal voltage.
    const share = Number(/takes ([\d.]+) % of the energy/.exec((await text('#energy')) ?? '')?.[1]);
    expect(share).toBeGreaterThan(79);
    expect(share).toBeLessThan(100);
    await page!.fill('#control-seed', '1099511627776');
    await page!.keyboard.press('Tab');
    expect(await page!.inputValue('#control-seed')).toBe('1');
  });

  it('the page fills in the curve, stops, continues, and exports the files that the command line writes', async () => {
    await sharedPage();
    const rows = () => page!.locator('#curve-table tbody tr').count();
    const before = await rows();
    await page!.click('#curve-run');
    await page!.waitForFunction((n) => document.querySelectorAll('#curve-table tbody tr').length > n, before);
    await page!.click('#pause');
    await page!.waitForTimeout(500);
    const paused = await rows();
    await page!.waitForTimeout(1000);
    expect(await rows()).toBe(paused);
    await page!.click('#stop');
    await ended('curve stopped');
    await page!.click('#curve-run');
    await ended('curve done');
    await page!.locator('#curve-verdict strong').waitFor();
    await page!.click('#curve summary');
    const results = parseResults(JSON.parse((await exported('results.json')).toString()), 'results.json');
    expect(results.manifest.command).toBe(page!.url());
    expect(await text('#curve-verdict strong')).toBe(verdictOf(results).answer);
    expect(new Set(results.rows.map(({ condition }) => condition.kind))).toEqual(new Set(['none', 'memory']));
    expect((await exported('results.csv')).toString().split('\n')).toHaveLength(results.rows.length + 2);
    for (const name of ['curve.svg', 'recon.svg'])
      expect((await exported(name)).toString()).toMatch(/^<svg .*<\/svg>/s);
    for (const name of ['curve.png', 'recon.png'])
      expect(PNG.sync.read(await exported(name)).width).toBeGreaterThan(800);
    // The point at the lowest voltage was never shown in the machine, and has faces all the same.
    await page!.locator('#curve-plot .point.errors').last().focus();
    expect(await page!.locator('#curve-plot canvas').count()).toBe(10);
    expect(await text('#curve-plot .plot-said')).toMatch(/of the nominal energy/);
  });

  it('the page trains a classifier and shows MI-Face running to its end', async () => {
    await sharedPage();
    await page!.click('#inversion summary');
    await page!.selectOption('#model', 'softmax');
    await page!.click('#inversion-run');
    await page!.locator('#inversion-faces', { hasText: /iteration [1-9]/ }).waitFor();
    await ended('invert done');
    expect(await page!.locator('#inversion-faces canvas').count()).toBe(30);
    expect(await page!.locator('#inversion-numbers tbody tr').count()).toBe(5);
  });

  it('the page draws a fault map that can be zoomed, and checks every kernel', async () => {
    await sharedPage();
    await page!.selectOption('#control-memory', 'uniform');
    await idle();
    await page!.click('#map-run');
    await ended('map done');
    const canvas = page!.locator('#map-view canvas');
    const width = () => canvas.evaluate((element) => element.getBoundingClientRect().width);
    const before = await width();
    await page!.focus('#map-view');
    await page!.keyboard.press('+');
    expect(await width()).toBe(2 * before);
    const flips = async () => Number(/^(\d+) of/.exec((await canvas.getAttribute('aria-label')) ?? '')?.[1]);
    const all = await flips();
    await page!.selectOption('#map-plane', '11');
    expect(all).toBeGreaterThan(5 * (await flips()));
    expect(await flips()).toBeGreaterThan(0);
    expect(await page!.locator('#map .legend li').count()).toBe(3);
    expect(await text('#map-layers .here')).toBe('fc1');
    await page!.click('#check-run');
    await ended('check done');
    expect(await text('#kernels p')).toMatch(/^(\d+) of \1 kernels agree/);
  });

  it('the page takes images of a visitor, and says beside the input why it refuses a file', async () => {
    await sharedPage();
    await page!.setInputFiles('#own-images', join(ROOT, 'test/fixtures/cases/jpeg/rgb-stored.jpg'));
    await ended('own done');
    expect(await page!.locator('#own-faces canvas').count()).toBe(3);
    expect(await page!.locator('#own-faces .note').allTextContents()).toEqual([
      expect.stringMatching(/^PCC /),
      expect.stringMatching(/^PCC /),
    ]);
    await page!.setInputFiles('#own-images', [
      { name: 'me.txt', mimeType: 'text/plain', buffer: Buffer.from('hello') },
    ]);
    await page!
      .locator('#own-failure', { hasText: 'me.txt: byte 0: a text file, not PNG, JPEG, PGM or PPM' })
      .waitFor();
    expect(await isInside('#own-failure')).toBe(true);
  });

  it('the page says inside the viewport why it refuses a dropped file, and attacks a dropped network', async () => {
    await sharedPage();
    await page!.evaluate(() => {
      scrollTo(0, 0);
      const dropped = new DataTransfer();
      dropped.items.add(new File(['hello'], 'letter.npz'));
      document.dispatchEvent(new DragEvent('drop', { dataTransfer: dropped, cancelable: true }));
    });
    await page!.locator('#network-failure', { hasText: 'letter.npz' }).waitFor();
    expect(await isInside('#network-failure')).toBe(true);
    const network = readFileSync(join(ROOT, 'test/fixtures/networks/mlp3.onnx'));
    await page!.setInputFiles('#network-files', [
      { name: 'mlp3.onnx', mimeType: '', buffer: network },
      { name: 'photos.zip', mimeType: '', buffer: Buffer.from(photosOfClasses(12, 20, 28)) },
    ]);
    await ended('bring done');
    expect(await page!.locator('#network-failure').isHidden()).toBe(true);
    expect(await text('#network-summary')).toMatch(/gray images of 20 x 28 pixels .* 12 classes/);
    expect(await text('#network-accuracy')).toMatch(/^Accuracy without errors: \d+ of 24 images/);
    await page!.locator('#network-layers input').first().uncheck();
    expect(await text('#network-chosen')).toBe('2 of 3');
    await page!.click('#network-run');
    await ended('attack done');
    expect(await page!.locator('#network-faces canvas').count()).toBe(30);
    expect(await page!.locator('#network-numbers tbody tr').count()).toBe(4);
    expect(await page!.locator('#network-curve .point').count()).toBeGreaterThan(1);
    await page!.click('#network-map-run');
    await ended('map done');
    const map = page!.locator('#network-map-view canvas');
    expect(await map.getAttribute('aria-label')).toMatch(/^\d+ of 2112 weights have a flip in any bit$/);
    await page!.click('#network-none');
    for (const job of ['run', 'curve-run', 'map-run'])
      expect(await page!.locator(`#network-${job}`).isDisabled()).toBe(true);
    expect(await text('#network-curve-why')).toMatch(/^Choose at least one layer/);
    expect(await accessibility()).toEqual([]);
  });

  it('the page reports a lost device and continues after one key press', async () => {
    await sharedPage();
    const before = await pixels('memory');
    const session = await browser.newBrowserCDPSession();
    // The answer never comes, because the process that would send it has crashed.
    session.send('Browser.crashGpuProcess').catch(() => {});
    await page!.locator('#lost').waitFor();
    await expect.poll(() => pixels('memory'), { timeout: 20_000 }).toBe(before);
    await page!.keyboard.press('Enter');
    await page!.locator('#lost').waitFor({ state: 'hidden' });
    await idle();
    await page!.waitForFunction(() => document.body.dataset.ended === 'measure done');
    expect(await pixels('memory')).toBe(before);
  });

  it('the page shows the same faces again from its address, on a phone and under a strict policy', async () => {
    await sharedPage();
    const [faces, numbers, address] = [await pixels('memory'), await text('#numbers'), new URL(page!.url()).search];
    await visit(`${strict.url}${address}&rate=7`, PHONE);
    await page!.locator('#failure', { hasText: 'their defaults are used: rate=7' }).waitFor();
    await ended('measure done');
    expect(await pixels('memory')).toBe(faces);
    expect(await text('#numbers')).toBe(numbers);
    await expectAgreement();
    expect(await page!.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    expect(await accessibility()).toEqual([]);
    // A classifier of another number of people is opened as the visitor's network.
    await page!.click('#own summary');
    await page!.setInputFiles('#own-networks', join(ROOT, 'test/fixtures/classifier.pth'));
    await ended('bring done');
    expect(await text('#network-name')).toContain('classifier');
  });
});
