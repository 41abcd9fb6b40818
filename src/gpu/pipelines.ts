import { ShaderError } from '../errors.ts';
import { composeShader, type ShaderRequest, type ShaderSource } from './composer.ts';
import type { GuardedDevice } from './guarded_device.ts';
import type { Trace } from './trace.ts';

/** How a shader uses a binding: `read` and `write` are storage buffers, `uniform` a uniform buffer. */
export type Access = 'read' | 'write' | 'uniform';

/** A compiled shader and the layout of its bindings. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** What others want to know of compilations. */
export interface PipelineObservers {
  /** Called with the text of every shader before it is compiled: the file with its includes and constants. */
  readonly onShader?: (path: string, text: string) => void;
  readonly trace?: Trace;
}

/** Compiles every shader once. The key is the use of its bindings and its composed text, in which all pipelines differ. */
export class PipelineCache {
  readonly #gpu: GuardedDevice;
  readonly #source: ShaderSource;
  readonly #byRequest = new Map<string, Promise<Pipeline>>();
  readonly #byText = new Map<string, Promise<Pipeline>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #observers: PipelineObservers;

  constructor(gpu: GuardedDevice, source: ShaderSource, observers: PipelineObservers = {}) {
    this.#gpu = gpu;
    this.#source = source;
    this.#observers = observers;
  }

  /** Number of distinct pipelines compiled so far. */
  get size(): number {
    return this.#byText.size;
  }

  /**
   * The pipeline for a request whose bindings are used as `access` says, in the order of @binding numbers of group 0.
   * @throws ShaderError `shaders/file.wgsl:line: message` when it does not compile
   */
  get(request: ShaderRequest, access: readonly Access[]): Promise<Pipeline> {
    const key = JSON.stringify([request.path, request.constants, request.includes, access]);
    let pipeline = this.#byRequest.get(key);
    if (!pipeline) {
      pipeline = this.#compose(request, access);
      this.#byRequest.set(key, pipeline);
    }
    return pipeline;
  }

  async #compose(request: ShaderRequest, access: readonly Access[]): Promise<Pipeline> {
    const { text, origin } = await composeShader(this.#source, request);
    const key = `${access.join()}\n${text}`;
    let pipeline = this.#byText.get(key);
    if (!pipeline) {
      pipeline = this.#compile(request.path, text, origin, access);
      this.#byText.set(key, pipeline);
    }
    return pipeline;
  }

  async #compile(
    path: string,
    code: string,
    origin: (line: number) => string,
    access: readonly Access[],
  ): Promise<Pipeline> {
    const { device } = this.#gpu;
    const before = performance.now();
    this.#observers.onShader?.(path, code);
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: path, code });
    const scope = device.popErrorScope();
    const info = await this.#gpu.guard(module.getCompilationInfo());
    await this.#gpu.guard(scope);
    const error = info.messages.find((message) => message.type === 'error');
    if (error) throw new ShaderError(`${origin(error.lineNum)}: ${error.message}`);
    const layout = this.#layout(access);
    try {
      const pipeline = await this.#gpu.guard(
        device.createComputePipelineAsync({
          label: path,
          layout: device.createPipelineLayout({ label: path, bindGroupLayouts: [layout] }),
          compute: { module, entryPoint: 'main' },
        }),
      );
      this.#observers.trace?.overlapping('compile', path, before);
      return { pipeline, layout };
    } catch (cause) {
      this.#gpu.check();
      throw new ShaderError(`shaders/${path}: ${(cause as Error).message.split('\n')[0]}`, { cause });
    }
  }

  #layout(access: readonly Access[]): GPUBindGroupLayout {
    const label = access.join(', ');
    let layout = this.#layouts.get(label);
    if (!layout) {
      const types: Record<Access, GPUBufferBindingType> = {
        read: 'read-only-storage',
        write: 'storage',
        uniform: 'uniform',
      };
      layout = this.#gpu.device.createBindGroupLayout({
        label,
        entries: access.map((use, binding) => ({ binding, visibility: 4, buffer: { type: types[use] } })),
      });
      this.#layouts.set(label, layout);
    }
    return layout;
  }
}
