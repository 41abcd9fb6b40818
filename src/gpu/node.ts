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
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants, homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { create } from 'webgpu';
import { AdapterError } from '../errors.ts';
import type { ShaderSource } from './composer.ts';
import { type Gpu, type NeededLimits, openGpu } from './device.ts';
import type { TuningChoices, TuningStore } from './tuner.ts';

export interface NodeGpuOptions {
  /** `auto` takes a real adapter and falls back to software; `software` insists on it; anything else is matched with
   * the adapter's name. */
  readonly adapter?: string;
  readonly neededLimits?: NeededLimits;
  /** Time what runs: see `Profiler`. */
  readonly profile?: boolean;
  /** Choose among kernels by measuring them, once for each adapter and version of the engine: see `Tuner`. Default: no. */
  readonly tune?: boolean;
}

const SHADER_FOLDER = fileURLToPath(new URL('../../shaders/', import.meta.url));

/** Of this project, as results and caches are marked with. */
export function packageVersion(): string {
  const path = fileURLToPath(new URL('../../package.json', import.meta.url));
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

/** Reads shaders from the project's shaders/ folder. */
export const fileShaderSource: ShaderSource = { read: (path) => readFile(join(SHADER_FOLDER, path), 'utf8') };

/**
 * Opens a device in Node, on an adapter of {@link findNodeEntry}.
 * @throws AdapterError that says what to install, LimitError
 */
export async function openNodeGpu(options: NodeGpuOptions = {}): Promise<Gpu> {
  const wanted = options.adapter ?? 'auto';
  const { neededLimits, profile, tune } = options;
  const entry = await findNodeEntry(wanted, profile);
  const tuning = tune ? fileTuningStore() : undefined;
  const gpu = await openGpu(entry, { shaders: fileShaderSource, neededLimits, rest, profile, tuning });
  if (wanted === 'auto' || wanted === 'software' || matches(gpu, wanted)) return gpu;
  const { name } = gpu.adapter;
  await gpu.close();
  throw new AdapterError(`no adapter is called "${wanted}" here, only "${name}"; use --adapter auto or software`);
}

/**
 * What `navigator.gpu` is in a browser, with an adapter. Order: a real adapter, the user's VK_ICD_FILENAMES, the packaged
 * SwiftShader, the one in Debian's chromium. The caller keeps the object for as long as a device of it lives, or the
 * process dies.
 * @param wanted as in {@link NodeGpuOptions}; a name is left to the caller to match
 * @param preciseTime timestamps in full resolution instead of steps of 65 us, which only Node lets a program ask for
 * @throws AdapterError that says what to install
 */
export async function findNodeEntry(wanted: string, preciseTime = false): Promise<GPU> {
  const createEntry = () => create(preciseTime ? ['disable-dawn-features=timestamp_quantization'] : []);
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
      'or npm install @sparticuz/chromium@147.0.0 (SwiftShader, linux-x64), or set VK_ICD_FILENAMES to a Vulkan ICD file',
  );
}

/** The user's cache folder, and where to turn if nothing can be written there. */
function cacheFolders(): string[] {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return [join(cache, 'midas-webgpu'), join(tmpdir(), 'midas-webgpu')];
}

/**
 * Choices in the user's cache folder, a file for each adapter and version of the engine. What cannot be read, or is no choice,
 * counts as absent; what cannot be written is measured again next time.
 */
export function fileTuningStore(folders: readonly string[] = cacheFolders()): TuningStore {
  const fileIn = (folder: string, adapter: string) => join(folder, `tuning-${packageVersion()}-${adapter}.json`);
  return {
    async load(adapter) {
      for (const folder of folders) {
        try {
          const choices: unknown = JSON.parse(readFileSync(fileIn(folder, adapter), 'utf8'));
          const entries = Object.entries(choices ?? {}).filter(([, name]) => typeof name === 'string');
          return Object.fromEntries(entries) as TuningChoices;
        } catch {
          // Not there, or half of a file: the next folder, or tuning.
        }
      }
      return {};
    },
    async save(adapter, choices) {
      for (const folder of folders) {
        try {
          mkdirSync(folder, { recursive: true });
          const file = fileIn(folder, adapter);
          const unfinished = `${file}.${process.pid}.tmp`;
          writeFileSync(unfinished, `${JSON.stringify(choices, null, 1)}\n`);
          renameSync(unfinished, file);
          return;
        } catch {
          // A read-only or full home: the next folder.
        }
      }
    },
  };
}

/** Milliseconds between two looks at a software adapter. */
const REST = 0.25;
const restingPlace = new Int32Array(new SharedArrayBuffer(4));

/**
 * Dawn's bindings look at the device on every turn of Node's event loop while a promise of theirs is pending: a core is
 * busy waiting. A software adapter needs that core, so every turn sleeps a little. On two idle cores an epoch of the
 * shallow model takes 0.73 of the time, and 0.69 of the processor time.
 */
export async function rest<T>(promise: Promise<T>): Promise<T> {
  waiting++;
  if (!turning) {
    turning = true;
    setImmediate(turn);
  }
  try {
    return await promise;
  } finally {
    waiting--;
  }
}

// One loop for all that wait: a model that is built waits for its pipelines all at once, and a sleep for each of them would
// leave Dawn's worker threads without work.
let waiting = 0;
let turning = false;
function turn(): void {
  turning = waiting > 0;
  if (!turning) return;
  Atomics.wait(restingPlace, 0, 0, REST);
  setImmediate(turn);
}

/** Whether to look for a real adapter: on Linux without any driver file Dawn only complains on stderr. */
function mayHaveDriver(): boolean {
  if (process.platform !== 'linux' || process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES) return true;
  const folders = ['/etc', '/usr/share', '/usr/local/share', '/usr/local/etc', join(homedir(), '.local/share')];
  return folders.some((folder) => {
    const drivers = join(folder, 'vulkan/icd.d');
    return existsSync(drivers) && readdirSync(drivers).length > 0;
  });
}

function matches(gpu: Gpu, wanted: string): boolean {
  const { name, vendor, architecture } = gpu.adapter;
  return `${name} ${vendor} ${architecture}`.toLowerCase().includes(wanted.toLowerCase());
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
        // Another process was faster: its folder is as good.
        rmSync(unfinished, { recursive: true, force: true });
        if (!existsSync(icd)) throw error;
      }
      return icd;
    } catch {
      // A read-only or full home: try the temporary folder.
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
 * Makes a library resident so that Dawn finds it by its soname. dlopen is expected to complain that it is no Node module;
 * RTLD_NODELETE (0x1000 in glibc) keeps it loaded all the same.
 * @returns whether there is such a library
 */
function load(library: string): boolean {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | 0x1000);
  } catch (error) {
    return /did not self-register/.test((error as Error).message);
  }
  return true;
}
