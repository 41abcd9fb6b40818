import { AdapterError, LimitError } from '../errors.ts';
import type { ShaderSource } from './composer.ts';
import { type AdapterSummary, GuardedDevice, type Rest } from './guarded_device.ts';
import { PipelineCache, type PipelineObservers } from './pipelines.ts';
import { Profiler } from './profiler.ts';
import type { Trace } from './trace.ts';
import { Tuner, type TuningStore } from './tuner.ts';

/** Limits a plan needs beyond WebGPU's defaults; the adapter's maximum of buffer and workgroup sizes is always requested. */
export type NeededLimits = Partial<Record<keyof GPUSupportedLimits & string, number>>;

/** Options of {@link openGpu}. */
export interface OpenOptions {
  readonly shaders: ShaderSource;
  readonly powerPreference?: GPUPowerPreference;
  readonly forceFallbackAdapter?: boolean;
  /** `compatibility` for adapters that offer less than WebGPU's core, such as those of OpenGL ES; default: `core`. */
  readonly featureLevel?: 'core' | 'compatibility';
  readonly neededLimits?: NeededLimits;
  /** How to wait for a software adapter without taking a core from it; a plain await by default. */
  readonly rest?: Rest;
  /** True to time kernels: see {@link Profiler}. */
  readonly profile?: boolean;
  /** Also collects the events of the run; only with `profile`. */
  readonly trace?: Trace;
  /** Called with the path and the text of every shader that is compiled. */
  readonly onShader?: PipelineObservers['onShader'];
  /** The store of the tuner's choices; without it nothing is tuned, and the default variants are used. */
  readonly tuning?: TuningStore;
}

const REQUESTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
] as const;

/**
 * An open device with a pipeline cache and, if requested, a profiler and a tuner. {@link openGpu} opens it, once per process
 * (an adapter serves one device).
 */
export class Gpu extends GuardedDevice {
  readonly pipelines: PipelineCache;
  /** Present if the device was opened for profiling. */
  readonly profiler: Profiler | undefined;
  readonly tuner: Tuner | undefined;

  constructor(entry: GPU, device: GPUDevice, adapter: AdapterSummary, options: OpenOptions) {
    const { shaders, rest, profile, trace, onShader, tuning } = options;
    super(entry, device, adapter, rest);
    this.pipelines = new PipelineCache(this, shaders, { onShader, trace });
    this.profiler = profile ? new Profiler(this, trace) : undefined;
    this.tuner = tuning && new Tuner(this, this.pipelines, tuning);
  }
}

/**
 * Requests an adapter and a device with explicit limits.
 * @param entry `navigator.gpu` of a browser, or in Node the object that `create()` of the webgpu package returns
 * @throws AdapterError when there is no adapter or it gives no device, LimitError when a limit is below `neededLimits`
 */
export async function openGpu(entry: GPU, options: OpenOptions): Promise<Gpu> {
  const adapter = await entry.requestAdapter({
    featureLevel: options.featureLevel,
    powerPreference: options.powerPreference ?? 'high-performance',
    forceFallbackAdapter: options.forceFallbackAdapter,
  });
  if (!adapter) throw new AdapterError('no WebGPU adapter was found');
  const requiredLimits: Record<string, number> = {};
  for (const name of REQUESTED_LIMITS) requiredLimits[name] = adapter.limits[name];
  // A compatibility device has fewer by default, also where the adapter has those of the core.
  requiredLimits.maxStorageBuffersPerShaderStage = Math.min(8, adapter.limits.maxStorageBuffersPerShaderStage);
  for (const [name, needed] of Object.entries(options.neededLimits ?? {})) {
    const offered = adapter.limits[name as keyof GPUSupportedLimits] as number;
    if (!(offered >= needed)) throw new LimitError(`${name}: ${needed} are needed, this adapter has ${offered}`);
    requiredLimits[name] = needed;
  }
  const wanted: GPUFeatureName[] = ['timestamp-query', 'subgroups'];
  const requiredFeatures = wanted.filter((feature) => adapter.features.has(feature));
  const device = await adapter.requestDevice({ label: 'midas', requiredLimits, requiredFeatures }).catch((cause) => {
    throw new AdapterError(`the adapter gives no device: ${cause.message}`, { cause });
  });
  return new Gpu(entry, device, summarize(adapter.info), options);
}

/**
 * Describes an adapter. A software adapter is recognised by its fallback flag or by its name. The description of one of OpenGL ES is the
 * version of the driver, which does not name the device.
 */
export function summarize(info: GPUAdapterInfo): AdapterSummary {
  const { vendor, architecture, device: model, description } = info;
  const driver = description.startsWith('OpenGL') && model !== '' ? `${model}, ${description}` : description;
  const name = driver || model || `${vendor} ${architecture}`.trim() || 'unnamed adapter';
  const software = info.isFallbackAdapter || /swiftshader|llvmpipe|softpipe|software/i.test(`${name} ${architecture}`);
  return { name, vendor, architecture, software };
}

/** The limits of a device that plans may need, by their names in WebGPU. */
const SHOWN_LIMITS = [
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** The limits of a device that `midas doctor` and the page show. */
export function limitsOf({ device }: Gpu): Record<string, number> {
  const limits: Record<string, number> = Object.fromEntries(SHOWN_LIMITS.map((name) => [name, device.limits[name]]));
  if (device.features.has('subgroups')) {
    const { subgroupMinSize, subgroupMaxSize } = device.adapterInfo;
    Object.assign(limits, { subgroupMinSize, subgroupMaxSize });
  }
  return limits;
}
