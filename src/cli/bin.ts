#!/usr/bin/env node
/** `npx midas-webgpu`: starts the command line, or prints how to install its optional packages if they are missing. */
import { createRequire } from 'node:module';
import { installCommand, optionalPackages } from '../gpu/node/package.ts';

const { resolve } = createRequire(import.meta.url);

function isInstalled(name: string): boolean {
  try {
    resolve(name);
    return true;
  } catch (error) {
    // A package that has no entry for `require` is installed too.
    return (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND';
  }
}

if (optionalPackages().every(isInstalled)) {
  await import('./main.ts');
} else {
  process.stderr.write(
    'midas: the command line needs packages that are not installed with the library. Install them, then run it again:\n' +
      `${installCommand(optionalPackages())}\n`,
  );
  process.exitCode = 1;
}
