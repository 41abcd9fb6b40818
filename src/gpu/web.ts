/// <reference types="vite/client" />
import { AdapterError } from '../errors.ts';
import type { ShaderSource } from './composer.ts';
import { type Gpu, openGpu } from './device.ts';

const FOLDER = '../../shaders/';

/** The texts of the shaders by their paths, if a bundler has put them into this file. */
const bundled = import.meta.env
  ? import.meta.glob<string>('../../shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true })
  : undefined;

/** Reads the shaders of a bundle; undefined if this file runs from its source. */
export const bundledShaders: ShaderSource | undefined = bundled && {
  async read(path) {
    const text = bundled[FOLDER + path];
    if (text === undefined) throw new Error(`no shaders/${path} in this bundle`);
    return text;
  },
};

/**
 * Opens a device in a browser, on a page or in a worker.
 * @throws AdapterError where the browser has no WebGPU or no adapter, LimitError
 */
export async function openWebGpu(): Promise<Gpu> {
  const entry = globalThis.navigator?.gpu;
  if (!entry) {
    throw new AdapterError(
      'this browser has no WebGPU, or the page is neither https nor from localhost; in Node import midas-webgpu/node',
    );
  }
  return openGpu(entry, { shaders: bundledShaders! });
}
