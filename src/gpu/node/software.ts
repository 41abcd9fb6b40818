/**
 * WebGPU on a software adapter in any Node program, without root, a display or a system package. The npm package `webgpu`
 * (Dawn) provides WebGPU; `@sparticuz/chromium` provides SwiftShader and a Vulkan loader for x64 Linux.
 */
import { existsSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { AdapterError } from '../../errors.ts';
import { homeFolder } from './cache.ts';
import { installCommand, optionalImport } from './package.ts';
import { unpackSwiftShader } from './swiftshader.ts';

/** The name of the adapter of Dawn's OpenGL ES backend. */
export const OPENGLES = 'opengles';

/** The toggle of Dawn for timestamps in full resolution instead of steps of 65 us. */
export const PRECISE_TIME = 'disable:timestamp_quantization';

/** Dawn's objects, never released: the process crashes when one is garbage-collected while one of its devices is open. */
const created: GPU[] = [];

/**
 * Opens WebGPU on a software adapter, for programs and tests on machines without a GPU. The result has the interface of
 * `navigator.gpu` in a browser. The first call unpacks SwiftShader (7 MB) into the user's cache folder, or into a folder of
 * the user's in the temporary folder.
 *
 * ```js
 * import { openSoftwareWebGpu } from 'midas-webgpu/software';
 * import { globals } from 'webgpu';
 * Object.assign(globalThis, globals); // GPUBufferUsage and the other constants
 * const adapter = await (await openSoftwareWebGpu()).requestAdapter();
 * const device = await adapter.requestDevice();
 * // ... compute ...
 * device.destroy();
 * ```
 *
 * It sets `VK_ICD_FILENAMES` of the process, so that Dawn finds SwiftShader and no other driver. Where the variable is set
 * already, the driver that it names is used. Platforms other than x64 Linux need that variable, or the SwiftShader of
 * Debian's chromium.
 * @throws AdapterError with the npm command that installs what is missing
 */
export function openSoftwareWebGpu(): Promise<GPU> {
  return findNodeEntry('software');
}

/**
 * Finds a driver with an adapter and returns an object with the interface of `navigator.gpu`. It tries, in this order: a
 * real adapter or the user's VK_ICD_FILENAMES, the packaged SwiftShader, the SwiftShader of Debian's chromium.
 * @param wanted `auto`, `software`, `opengles` (Dawn's OpenGL ES backend, such as Mesa's llvmpipe), or the name of an adapter, which the
 *   caller compares
 * @param options of Dawn's `create`
 * @throws AdapterError that says what to install
 */
export async function findNodeEntry(wanted: string, options: readonly string[] = []): Promise<GPU> {
  const { create } = await optionalImport('webgpu', import('webgpu'));
  const createEntry = (...more: string[]) => {
    const entry = create([...options, ...more]);
    created.push(entry);
    return entry;
  };
  if (wanted === OPENGLES) {
    // Without a display, EGL opens only where it is told that there is none.
    process.env.EGL_PLATFORM ??= 'surfaceless';
    const entry = createEntry('backend=opengles');
    if (await entry.requestAdapter({ featureLevel: 'compatibility' })) return entry;
    throw new AdapterError(
      'no OpenGL ES adapter: install a driver; in software: apt install libegl1 libgles2 libgl1-mesa-dri libegl-mesa0',
    );
  }
  const { icd: packaged, failures } = unpackSwiftShader();
  // Dawn finds this library by its name, of the system or else of the package.
  const loader = packaged && join(dirname(packaged), 'libvulkan.so.1');
  const unloaded = loader && load('libvulkan.so.1') !== undefined ? load(loader) : undefined;
  if (wanted === 'software' ? process.env.VK_ICD_FILENAMES : mayHaveDriver()) {
    const entry = createEntry();
    if (await entry.requestAdapter()) return entry;
  }
  if (wanted === 'auto' || wanted === 'software') {
    for (const icd of [packaged, '/usr/lib/chromium/vk_swiftshader_icd.json']) {
      if (!icd || !existsSync(icd)) continue;
      process.env.VK_ICD_FILENAMES = icd;
      const entry = createEntry();
      if (await entry.requestAdapter()) return entry;
    }
  }
  if (failures.length > 0 && !packaged && (wanted === 'auto' || wanted === 'software')) {
    throw new AdapterError(
      `no WebGPU adapter: SwiftShader cannot be unpacked (${failures.join('; ')}); free some space, or set XDG_CACHE_HOME to a ` +
        'folder of yours',
    );
  }
  if (unloaded !== undefined) throw new AdapterError(`no WebGPU adapter: a library cannot be loaded: ${unloaded}`);
  throw new AdapterError(
    `no ${wanted === 'auto' ? '' : `"${wanted}" `}WebGPU adapter: install a Vulkan driver for your GPU, ` +
      `or ${installCommand(['@sparticuz/chromium'])} (SwiftShader, linux-x64), or set VK_ICD_FILENAMES to a Vulkan ICD file`,
  );
}

/** True if a real adapter may exist: on Linux without a driver file, asking Dawn for one only prints errors on stderr. */
function mayHaveDriver(): boolean {
  if (process.platform !== 'linux' || process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES) return true;
  const home = homeFolder();
  const folders = ['/etc', '/usr/share', '/usr/local/share', '/usr/local/etc'];
  if (home !== undefined) folders.push(join(home, '.local/share'));
  return folders.some((folder) => {
    const drivers = join(folder, 'vulkan/icd.d');
    return existsSync(drivers) && readdirSync(drivers).length > 0;
  });
}

/**
 * Loads a library so that Dawn finds it by its soname. dlopen is expected to throw because the library is not a Node module;
 * RTLD_NODELETE (0x1000 in glibc) keeps it loaded nevertheless.
 * @returns the reason why it is not loaded, otherwise undefined
 */
function load(library: string): string | undefined {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | 0x1000);
  } catch (error) {
    const { message } = error as Error;
    return /did not self-register/.test(message) ? undefined : message;
  }
  return undefined;
}
