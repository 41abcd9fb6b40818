#!/usr/bin/env node
/** `npx midas-webgpu`: the command line where its optional packages are installed, otherwise how to install them. */
import { createRequire } from 'node:module';
import { installCommand, optionalPackages } from '../gpu/node/package.ts';

const { resolve } = createRequire(import.meta.url);

function isInstalled(name: string): boolean {
  try {
    resolve(name);
    return true;
  } catch (error) {
    // A package that can only be imported is there all the same.
    return (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND';
  }
}

if (optionalPackages().every(isInstalled)) {
  await import('./main.ts');
} else {
  process.stderr.write(
    'midas: the command line needs packages that the library for pages does not bring. Install them, then try again:\n' +
      `${installCommand(optionalPackages())}\n`,
  );
  process.exitCode = 1;
}
