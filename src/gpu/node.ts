import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { AdapterError, ConfigError, DataError } from '../errors.ts';
import type { ShaderSource } from './composer.ts';
import { type Gpu, type NeededLimits, openGpu } from './device.ts';
import { cacheFolders, openCacheFolder, temporaryName } from './node/cache.ts';
import { packageFile, packageVersion } from './node/package.ts';
import { findNodeEntry, OPENGLES, PRECISE_TIME } from './node/software.ts';
import type { Trace } from './trace.ts';
import type { TuningChoices, TuningStore } from './tuner.ts';
import { bundledShaders } from './web.ts';

export interface NodeGpuOptions {
  /**
   * `auto` uses a real adapter if there is one, otherwise a software adapter; `software` uses a software adapter; `opengles` uses Dawn's
   * OpenGL ES backend; any other text must be a part of the adapter's name, vendor and architecture. Default: `auto`.
   */
  readonly adapter?: string;
  readonly neededLimits?: NeededLimits;
  /** True to time kernels: see `Profiler`. */
  readonly profile?: boolean;
  /** Also collects the events of the run; only with `profile`. */
  readonly trace?: Trace;
  /** Folder into which the text of every shader that is compiled is written, with its includes and constants. */
  readonly shaderFolder?: string;
  /** Dawn's toggles: `enable:name` or `disable:name`. Dawn ignores names that it does not know. */
  readonly toggles?: readonly string[];
  /** True to choose kernels by measuring them, once for each adapter and version of the engine: see `Tuner`. */
  readonly tune?: boolean;
}

/** Reads shaders from the folder shaders/ of a clone. */
export const fileShaderSource: ShaderSource = { read: (path) => readFile(packageFile(`shaders/${path}`), 'utf8') };

/**
 * Opens a device in Node, on a real adapter, or on SwiftShader where there is none.
 * @throws AdapterError that says what to install, LimitError
 */
export async function openNodeGpu(options: NodeGpuOptions = {}): Promise<Gpu> {
  const wanted = options.adapter ?? 'auto';
  const { neededLimits, profile, trace, tune, shaderFolder } = options;
  const toggles = [...(options.toggles ?? []), ...(profile ? [PRECISE_TIME] : [])];
  const entry = await findNodeEntry(wanted, dawnOptions(toggles));
  // What wins with a toggle, such as one that leaves checks of bounds out, may lose without it.
  const circumstances = [processorName(), ...(options.toggles ?? [])].map(fileNamePart).join('-');
  const tuning = tune ? fileTuningStore(cacheFolders(), circumstances) : undefined;
  const shaders = bundledShaders ?? fileShaderSource;
  const featureLevel = wanted === OPENGLES ? 'compatibility' : undefined;
  const onShader = shaderFolder === undefined ? undefined : shaderWriter(shaderFolder);
  const gpu = await openGpu(entry, { shaders, neededLimits, rest, profile, trace, onShader, tuning, featureLevel });
  if (wanted === 'auto' || wanted === 'software' || wanted === OPENGLES || matches(gpu, wanted)) return gpu;
  const { name } = gpu.adapter;
  await gpu.close();
  throw new AdapterError(`no adapter is called "${wanted}" here, only "${name}"; use --adapter auto or software`);
}

/** The options of Dawn's `create` for toggles `enable:name` and `disable:name`. @throws ConfigError */
function dawnOptions(toggles: readonly string[]): string[] {
  const names = { enable: [] as string[], disable: [] as string[] };
  for (const toggle of toggles) {
    const [, kind, name] = /^(enable|disable):(\w+)$/.exec(toggle) ?? [];
    if (!name) throw new ConfigError(`${toggle}: give enable:NAME or disable:NAME, a toggle of Dawn`);
    names[kind as keyof typeof names].push(name);
  }
  return Object.entries(names).flatMap(([kind, all]) =>
    all.length > 0 ? [`${kind}-dawn-features=${all.join(',')}`] : [],
  );
}

/** Writes every shader into a file that is named after its path and its text: one shader is compiled with several constants. */
function shaderWriter(folder: string): (path: string, text: string) => void {
  return (path, text) => {
    const hash = createHash('sha256').update(text).digest('hex').slice(0, 8);
    const file = join(folder, path.replace(/\.wgsl$/, `-${hash}.wgsl`));
    try {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    } catch (cause) {
      throw new DataError(`${file}: cannot be written (${(cause as Error).message})`, { cause });
    }
  };
}

/** The model of the processor; empty where the system does not say. */
const processorName = () => cpus()[0]?.model ?? '';

const fileNamePart = (text: string) => text.replaceAll(/[^a-zA-Z0-9]+/g, '-').replaceAll(/^-|-$/g, '');

/**
 * Stores tuning choices in the user's cache folder, in one file for each adapter, processor and version of the engine: what wins on one
 * processor loses on another, and a cache folder may be shared by several machines. Choices that cannot be read or are invalid count
 * as absent; choices that cannot be written are measured again next time.
 * @param circumstances the processor, and what else choices depend on, usable in a file name
 */
export function fileTuningStore(
  folders: readonly string[] = cacheFolders(),
  circumstances: string = fileNamePart(processorName()),
): TuningStore {
  const fileIn = (folder: string, adapter: string) =>
    join(openCacheFolder(folder), `tuning-${packageVersion()}-${adapter}-${circumstances}.json`);
  return {
    async load(adapter) {
      for (const folder of folders) {
        try {
          const choices: unknown = JSON.parse(readFileSync(fileIn(folder, adapter), 'utf8'));
          const entries = Object.entries(choices ?? {}).filter(([, name]) => typeof name === 'string');
          return Object.fromEntries(entries) as TuningChoices;
        } catch {
          // The folder is not safe, or the file is missing or damaged: try the next folder.
        }
      }
      return {};
    },
    async save(adapter, choices) {
      for (const folder of folders) {
        try {
          const file = fileIn(folder, adapter);
          const unfinished = temporaryName(file);
          writeFileSync(unfinished, `${JSON.stringify(choices, null, 1)}\n`);
          renameSync(unfinished, file);
          return;
        } catch {
          // The folder is not safe, read-only or full: try the next one.
        }
      }
    },
  };
}

/** Milliseconds between two polls of a software adapter. */
const REST = 0.25;
const sleepWord = new Int32Array(new SharedArrayBuffer(4));

/**
 * Awaits a promise of a software adapter without keeping a core busy. Dawn's bindings poll the device on every turn of
 * Node's event loop while one of their promises is pending. A software adapter needs that core, so every turn sleeps a
 * little. On two idle cores an epoch of the shallow model then takes 0.73 of the time and 0.69 of the processor time.
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

// One loop serves all waiting calls: building a model waits for all its pipelines together, and one sleep per pipeline would
// leave Dawn's worker threads without work.
let waiting = 0;
let turning = false;
function turn(): void {
  turning = waiting > 0;
  if (!turning) return;
  Atomics.wait(sleepWord, 0, 0, REST);
  setImmediate(turn);
}

function matches(gpu: Gpu, wanted: string): boolean {
  const { name, vendor, architecture } = gpu.adapter;
  return `${name} ${vendor} ${architecture}`.toLowerCase().includes(wanted.toLowerCase());
}
