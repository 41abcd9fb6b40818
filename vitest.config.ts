import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { findChromium } from './test/support/chromium.ts';

// `unit` needs no device. `gpu` opens one device per file. `browser` runs some of the same files in Chromium, in one page.
// `e2e` starts the command line as a child process. After `unit`, the others run as one group, so that the last long file leaves
// a core idle only once: two files of `gpu` and `e2e` at a time (one at a time they used 1.05 of two cores), and beside them
// the page.
const ofDevices = {
  pool: 'forks',
  maxWorkers: 2,
  sequence: { groupOrder: 1 },
  testTimeout: 120_000,
  hookTimeout: 120_000,
} as const;

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

const chromium = findChromium();
if (!chromium) {
  console.error("browser tests skipped: no Chromium found; install Debian's chromium or set MIDAS_CHROMIUM");
}

const provider = playwright({
  launchOptions: {
    executablePath: chromium,
    // The software adapter that `gpu` uses too, whatever GPU the machine has.
    args: ['--headless=new', '--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
    timeout: 60_000,
  },
});

const fixtures = resolve(process.env.MIDAS_FIXTURES ?? path('test/fixtures'));

const setupFiles = path('test/support/equality.ts');

/** Runs files of `gpu` unchanged, with test/support/platform.browser.ts in place of platform.ts. */
const browser: TestProjectInlineConfiguration = {
  resolve: {
    alias: [
      { find: /^\..*\/platform\.ts$/, replacement: path('test/support/platform.browser.ts') },
      { find: 'fixtures', replacement: fixtures },
    ],
  },
  server: { fs: { allow: [path('.'), fixtures] } },
  // A dependency that is discovered while tests are running would reload the page.
  optimizeDeps: { include: ['valibot', 'gl-matrix', 'pbf'] },
  test: {
    name: 'browser',
    setupFiles,
    include: ['test/{data,injection,kernels,memory,models}/**/*.gpu.test.ts'],
    exclude: [
      // This file reads fixtures with node:fs.
      'test/models/import.gpu.test.ts',
      // These files take longer than all others together. The page's own check of every shader runs in Chromium too.
      'test/kernels/{activation,align,conv,conv_direct,gemm,norm}.gpu.test.ts',
      'test/injection/fused_conv.gpu.test.ts',
      'test/memory/sources.gpu.test.ts',
      'test/models/{deep_memory,paper}.gpu.test.ts',
      // This file looks for real faces on the disk.
      'test/models/face_evaluator.gpu.test.ts',
      // These files combine kernels that other files run in Chromium: nothing in them is specific to a platform.
      'test/injection/{approximate_memory,codes16,fused,majority_vote,zones}.gpu.test.ts',
      'test/models/{autoencoder,flip_search,gradients,hidden_defences,network,normalised,plan,training,training_defences,victims,yang}.gpu.test.ts',
    ],
    // All files share one page: a page per file would take half a minute longer. Projects of a group must agree on
    // `maxWorkers`.
    isolate: false,
    maxWorkers: 2,
    sequence: { groupOrder: 1 },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    browser: {
      enabled: true,
      headless: true,
      fileParallelism: false,
      screenshotFailures: false,
      instances: [{ browser: 'chromium' }],
      provider: {
        ...provider,
        // Vitest would wait forever for a page that hangs; closing its browser makes the tests fail instead.
        providerFactory(project) {
          const opened = provider.providerFactory(project);
          if (!project.vitest.config.watch) setTimeout(() => opened.close(), 1_200_000).unref();
          return opened;
        },
      },
    },
  },
};

export default defineConfig(({ mode }) => {
  // `npm run test:long` is in the mode `long`; the processes of the tests inherit the variable.
  if (mode === 'long') process.env.MIDAS_TEST_LONG = '1';
  return {
    test: {
      projects: [
        {
          test: {
            name: 'unit',
            setupFiles,
            include: ['test/**/*.test.ts'],
            exclude: ['test/**/*.gpu.test.ts', 'test/e2e/**'],
            maxWorkers: 2,
            // Statistical tests take some seconds, and longer on a busy machine.
            testTimeout: 30_000,
          },
        },
        {
          test: {
            name: 'gpu',
            setupFiles,
            include: ['test/**/*.gpu.test.ts'],
            exclude: ['test/e2e/**'],
            ...ofDevices,
          },
        },
        ...(chromium ? [browser] : []),
        {
          test: {
            name: 'e2e',
            setupFiles,
            include: ['test/e2e/**/*.test.ts'],
            globalSetup: 'test/support/build_command_line.ts',
            ...ofDevices,
            testTimeout: 600_000,
          },
        },
      ],
    },
  };
});
