import { defineConfig } from 'vitest/config';

// `unit` needs no device and runs files in parallel. `gpu` opens one device a file, one file at a time, because a software
// adapter uses every core by itself. `e2e` starts the command line as a child process.
const serial = { pool: 'forks', fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 } as const;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.gpu.test.ts', 'test/e2e/**'],
          // Statistics of some seconds; more on a machine that does other things besides.
          testTimeout: 30_000,
        },
      },
      { test: { name: 'gpu', include: ['test/**/*.gpu.test.ts'], exclude: ['test/e2e/**'], ...serial } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...serial, testTimeout: 600_000 } },
    ],
  },
});
