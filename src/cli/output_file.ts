/** Checks of output paths, made before a command's work instead of after it. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileError } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';

/**
 * Makes the folder of a file that a command writes at its end.
 *
 * @returns the path
 * @throws ConfigError if the path is a folder
 * @throws DataError if its folder cannot be made
 */
export function outputFile(path: string): string {
  if (existsSync(path) && statSync(path).isDirectory()) {
    throw new ConfigError(`--out ${path}: this is a folder; give a file, such as ${join(path, 'out.safetensors')}`);
  }
  makeFolder(dirname(path));
  return path;
}

/** Makes a folder and its missing parents. @throws DataError */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw fileError('write', path, error);
  }
}
