/** Files of this package and its optional parts, wherever it is installed: in a clone, in node_modules, in a bundle. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AdapterError } from '../../errors.ts';

interface Manifest {
  readonly name: string;
  readonly version: string;
  /** Exact versions of the packages that only Node needs. */
  readonly peerDependencies: Readonly<Record<string, string>>;
}

/** The nearest folder above this file with a package.json; a bundle lies at another depth than the sources. */
function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/** Path of a file of this package, for example `shaders/gemm/gemm_nt.wgsl`. */
export function packageFile(path: string): string {
  return join(packageFolder(), path);
}

function manifest(): Manifest {
  return JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as Manifest;
}

/** Version of this package, which marks results and caches. */
export function packageVersion(): string {
  return manifest().version;
}

/** Packages that are needed in Node only, and that npm does not install with the library. */
export function optionalPackages(): string[] {
  return Object.keys(manifest().peerDependencies);
}

/** The npm command that installs optional packages in the versions with which this package was tested. */
export function installCommand(names: readonly string[]): string {
  const { peerDependencies } = manifest();
  return `npm install ${names.map((name) => `${name}@${peerDependencies[name]}`).join(' ')}`;
}

/**
 * Waits for the import of an optional package.
 * @throws AdapterError with the command that installs it, where it is missing
 */
export async function optionalImport<T>(name: string, imported: Promise<T>): Promise<T> {
  return imported.catch((cause) => {
    throw new AdapterError(
      isMissing(cause, name)
        ? `the package ${name} is not installed: ${installCommand([name])}`
        : `the package ${name} cannot be loaded: ${cause.message}`,
      { cause },
    );
  });
}

function isMissing(error: NodeJS.ErrnoException, name: string): boolean {
  const missing = error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND';
  return missing && error.message.includes(`'${name}'`);
}
