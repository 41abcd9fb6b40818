/**
 * WebGPU on a software adapter in any Node program, without root, a display or a system package. The npm package `webgpu`
 * (Dawn) provides WebGPU; `@sparticuz/chromium` provides SwiftShader and a Vulkan loader for x64 Linux.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { constants, homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { AdapterError } from '../../errors.ts';
import { installCommand, optionalImport } from './package.ts';

/** Dawn's objects, never released: the process crashes when one is garbage-collected while one of its devices is open. */
const created: GPU[] = [];

/**
 * Opens WebGPU on a software adapter, for programs and tests on machines without a GPU. The result has the interface of
 * `navigator.gpu` in a browser. The first call unpacks SwiftShader (7 MB) into the user's cache folder, or into the
 * temporary folder.
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
 * @param wanted `auto`, `software`, or the name of an adapter, which the caller compares
 * @param preciseTime true for timestamps in full resolution instead of steps of 65 us, which only Node offers
 * @throws AdapterError that says what to install
 */
export async function findNodeEntry(wanted: string, preciseTime = false): Promise<GPU> {
  const { create } = await optionalImport('webgpu', import('webgpu'));
  const createEntry = () => {
    const entry = create(preciseTime ? ['disable-dawn-features=timestamp_quantization'] : []);
    created.push(entry);
    return entry;
  };
  const packaged = unpackSwiftShader();
  if (packaged && !load('libvulkan.so.1')) load(join(dirname(packaged), 'libvulkan.so.1'));
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
  throw new AdapterError(
    `no ${wanted === 'auto' ? '' : `"${wanted}" `}WebGPU adapter: install a Vulkan driver for your GPU, ` +
      `or ${installCommand(['@sparticuz/chromium'])} (SwiftShader, linux-x64), or set VK_ICD_FILENAMES to a Vulkan ICD file`,
  );
}

/** True if a real adapter may exist: on Linux without a driver file, asking Dawn for one only prints errors on stderr. */
function mayHaveDriver(): boolean {
  if (process.platform !== 'linux' || process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES) return true;
  const folders = ['/etc', '/usr/share', '/usr/local/share', '/usr/local/etc', join(homedir(), '.local/share')];
  return folders.some((folder) => {
    const drivers = join(folder, 'vulkan/icd.d');
    return existsSync(drivers) && readdirSync(drivers).length > 0;
  });
}

/** The user's cache folder, and the temporary folder to use if nothing can be written there. */
export function cacheFolders(): string[] {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return [join(cache, 'midas-webgpu'), join(tmpdir(), 'midas-webgpu')];
}

/**
 * Unpacks SwiftShader from the @sparticuz/chromium package into the user's cache folder, once.
 * @returns the path of its ICD file, or undefined where the package or the platform is missing
 */
function unpackSwiftShader(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  let archive: string;
  try {
    const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
    archive = join(entry.slice(0, entry.lastIndexOf('@sparticuz')), '@sparticuz/chromium/bin/swiftshader.tar.br');
    if (!existsSync(archive)) return undefined;
  } catch {
    return undefined;
  }
  for (const parent of cacheFolders()) {
    const folder = join(parent, 'swiftshader-147.0.0');
    const icd = join(folder, 'vk_swiftshader_icd.json');
    if (existsSync(icd)) return icd;
    try {
      mkdirSync(parent, { recursive: true });
      const unfinished = mkdtempSync(join(parent, 'unpacking-'));
      for (const [name, bytes] of tarEntries(brotliDecompressSync(readFileSync(archive)))) {
        if (/^(libvk_swiftshader\.so|libvulkan\.so\.1|vk_swiftshader_icd\.json)$/.test(name)) {
          writeFileSync(join(unfinished, name), bytes);
        }
      }
      try {
        renameSync(unfinished, folder);
      } catch (error) {
        // Another process created the folder first: use that one.
        rmSync(unfinished, { recursive: true, force: true });
        if (!existsSync(icd)) throw error;
      }
      return icd;
    } catch {
      // The cache folder is read-only or full: try the temporary folder.
    }
  }
  return undefined;
}

/** The regular files of an uncompressed ustar archive. */
function* tarEntries(tar: Uint8Array): Generator<[string, Uint8Array]> {
  const text = (from: number, length: number) =>
    new TextDecoder().decode(tar.subarray(from, from + length)).replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= tar.length; ) {
    const name = text(at, 100);
    if (!name) return;
    const size = Number.parseInt(text(at + 124, 12), 8);
    const isFile = tar[at + 156] === 0 || tar[at + 156] === 0x30;
    if (isFile) yield [name.replace(/^.*\//, ''), tar.subarray(at + 512, at + 512 + size)];
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/**
 * Loads a library so that Dawn finds it by its soname. dlopen is expected to throw because the library is not a Node module;
 * RTLD_NODELETE (0x1000 in glibc) keeps it loaded nevertheless.
 * @returns true if the library exists
 */
function load(library: string): boolean {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | 0x1000);
  } catch (error) {
    return /did not self-register/.test((error as Error).message);
  }
  return true;
}
