/// <reference types="vite/client" />
import { AdapterError } from '../errors.ts';
import type { ShaderSource } from './composer.ts';
import { type Gpu, openGpu } from './device.ts';

const FOLDER = '../../shaders/';
const files = import.meta.glob<string>('../../shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true });

/** The project's shaders as part of a bundle: for {@link openGpu} with other options than {@link openWebGpu} has. */
export const bundledShaders: ShaderSource = {
  async read(path) {
    const text = files[FOLDER + path];
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
  if (!entry) throw new AdapterError('this browser has no WebGPU, or the page is neither https nor from localhost');
  return openGpu(entry, { shaders: bundledShaders });
}
