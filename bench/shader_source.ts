import { readFile } from 'node:fs/promises';
import type { ShaderSource } from '../src/gpu/composer.ts';
import { fileShaderSource } from '../src/gpu/node.ts';

/** Shaders of the engine; paths that begin with `bench/` name slower variants in bench/shaders. */
export const benchShaderSource: ShaderSource = {
  read: (path) =>
    path.startsWith('bench/')
      ? readFile(new URL(`./shaders/${path.slice(6)}`, import.meta.url), 'utf8')
      : fileShaderSource.read(path),
};
