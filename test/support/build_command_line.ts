/** Builds the command line once for all files of the project `e2e`. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { BUILT } from './command_line.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export default async function setup(): Promise<void> {
  const output = { outDir: dirname(BUILT), emptyOutDir: true };
  await build({ root, configFile: `${root}src/vite.config.ts`, logLevel: 'error', build: output });
}
