import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { findChromium } from './test/support/chromium.ts';

// `unit` needs no device. `gpu` opens one device per file. `browser` runs most of the same files in Chromium, in one page.
// `e2e` starts the command line as a child process. The groups run one after the other, the files of a group two at a time:
// one at a time they used 1.05 of two cores.
const ofDevices = { pool: 'forks', maxWorkers: 2, testTimeout: 120_000, hookTimeout: 120_000 } as const;

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

const chromium = findChromium();
if (!chromium) {
  console.error("browser tests skipped: no Chromium found; install Debian's chromium or set MIDAS_CHROMIUM");
}

const provider = playwright({
  launchOptions: {
    executablePath: chromium,
    // The adapter of `gpu`, whatever else this machine has.
    args: ['--headless=new', '--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
    timeout: 60_000,
  },
});

const fixtures = resolve(process.env.MIDAS_FIXTURES ?? path('test/fixtures'));

/** Files of `gpu` as they are: one module of theirs is another in a browser. */
const browser: TestProjectInlineConfiguration = {
  resolve: {
    alias: [
      { find: /^\..*\/platform\.ts$/, replacement: path('test/support/platform.browser.ts') },
      { find: 'fixtures', replacement: fixtures },
    ],
  },
  server: { fs: { allow: [path('.'), fixtures] } },
  // A dependency that is found when tests are already running reloads the page.
  optimizeDeps: { include: ['valibot', 'gl-matrix'] },
  test: {
    name: 'browser',
    include: ['test/{attacks,data,injection,kernels,memory,models}/**/*.gpu.test.ts'],
    exclude: [
      // Reads its files by itself.
      'test/models/import.gpu.test.ts',
      // Take longer than all others together.
      'test/kernels/conv.gpu.test.ts',
      'test/memory/sources.gpu.test.ts',
      'test/models/{deep_memory,paper}.gpu.test.ts',
    ],
    fileParallelism: false,
    // One page for all files: a page for each is half a minute more.
    isolate: false,
    sequence: { groupOrder: 3 },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      instances: [{ browser: 'chromium' }],
      provider: {
        ...provider,
        // Vitest waits for ever for a page that hangs, but tests fail when their browser is closed.
        providerFactory(project) {
          const opened = provider.providerFactory(project);
          if (!project.vitest.config.watch) setTimeout(() => opened.close(), 600_000).unref();
          return opened;
        },
      },
    },
  },
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.gpu.test.ts', 'test/e2e/**'],
          maxWorkers: 2,
          // Statistics of some seconds; more on a busy machine.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'gpu',
          include: ['test/**/*.gpu.test.ts'],
          exclude: ['test/e2e/**'],
          sequence: { groupOrder: 1 },
          ...ofDevices,
        },
      },
      ...(chromium ? [browser] : []),
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          sequence: { groupOrder: 2 },
          ...ofDevices,
          testTimeout: 600_000,
        },
      },
    ],
  },
});
