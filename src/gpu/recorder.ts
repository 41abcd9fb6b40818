import type { ShaderRequest } from './composer.ts';
import { type BufferView, GPU_BUFFER_USAGE, type Gpu } from './device.ts';
import type { Access } from './pipelines.ts';

/** One dispatch as a kernel launcher describes it. Bindings stand in the order of the shader's @binding numbers. */
export interface Dispatch {
  readonly label: string;
  readonly shader: ShaderRequest;
  readonly bindings: readonly (readonly [Access, BufferView])[];
  /** Workgroups in x, y, z; each at most 65535. */
  readonly workgroups: readonly [number, number, number];
  /** Floating-point operations, for the profiler. */
  readonly flops?: number;
}

/** How often one run of a program reads the weights of a layer from memory. */
export interface WeightRead {
  readonly layer: string;
  readonly times: number;
}

/** Number of u32 words in the step uniform. Which word means what is said in shaders/common/step.wgsl. */
export const STEP_WORDS = 16;

/**
 * Collects the dispatches of one training step, one inference or one attack iteration. `build()` compiles all pipelines
 * in parallel and makes every bind group; the result is encoded again and again as one pass and one submit.
 */
export class Recorder {
  readonly gpu: Gpu;
  /** 64 bytes that change from step to step: read counters, learning rate, offsets. */
  readonly step: BufferView;
  readonly #dispatches: Dispatch[] = [];
  readonly #weightReads: WeightRead[] = [];

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    const size = STEP_WORDS * 4;
    const buffer = gpu.device.createBuffer({
      label: 'step uniform',
      size,
      usage: GPU_BUFFER_USAGE.UNIFORM | GPU_BUFFER_USAGE.COPY_DST,
    });
    this.step = { buffer, offset: 0, size };
  }

  record(dispatch: Dispatch): void {
    this.#dispatches.push(dispatch);
  }

  /** Notes that the program reads weights: what the energy of an inference is reckoned from. */
  countRead(layer: string, times: number): void {
    this.#weightReads.push({ layer, times });
  }

  /** @throws ShaderError when a kernel does not compile, DeviceLostError */
  async build(label: string): Promise<Program> {
    const { gpu } = this;
    const commands = await Promise.all(
      this.#dispatches.map(async (dispatch): Promise<Command> => {
        const access = dispatch.bindings.map(([use]) => use);
        const { pipeline, layout } = await gpu.pipelines.get(dispatch.shader, access);
        const bindGroup = gpu.device.createBindGroup({
          label: dispatch.label,
          layout,
          entries: dispatch.bindings.map(([, { buffer, offset, size }], binding) => ({
            binding,
            resource: { buffer, offset, size },
          })),
        });
        return { ...dispatch, pipeline, bindGroup };
      }),
    );
    return new Program(gpu, label, this.step, commands, this.#weightReads);
  }
}

interface Command extends Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/** Time and work of one kernel, summed over its dispatches in a program. */
export interface KernelTime {
  readonly kernel: string;
  readonly calls: number;
  readonly milliseconds: number;
  /** NaN where the launcher gave no count. */
  readonly gflops: number;
}

/** A recorded list of dispatches, ready to run. */
export class Program {
  readonly label: string;
  /** What a run reads of weights, in the order of reading. */
  readonly weightReads: readonly WeightRead[];
  /** Words of the step uniform; set them, then `run()`. */
  readonly stepWords = new Uint32Array(STEP_WORDS);
  readonly stepFloats = new Float32Array(this.stepWords.buffer);
  readonly #gpu: Gpu;
  readonly #step: BufferView;
  readonly #commands: readonly Command[];

  constructor(
    gpu: Gpu,
    label: string,
    step: BufferView,
    commands: readonly Command[],
    weightReads: readonly WeightRead[],
  ) {
    this.#gpu = gpu;
    this.label = label;
    this.weightReads = weightReads;
    this.#step = step;
    this.#commands = commands;
  }

  /** Encodes every dispatch in one compute pass and submits once. Does not wait. @throws DeviceLostError */
  run(): void {
    this.#gpu.device.queue.writeBuffer(this.#step.buffer, 0, this.stepWords);
    const encoder = this.#gpu.device.createCommandEncoder({ label: this.label });
    const pass = encoder.beginComputePass({ label: this.label });
    for (const command of this.#commands) encode(pass, command);
    pass.end();
    this.#gpu.submit(encoder);
  }

  /**
   * Runs the program once for each of `repeats`, timing every dispatch in a pass of its own, `inner` times back to back,
   * so that quantised timestamps (65 us, 100 us in browsers) average out. Results of the program are those of running
   * each dispatch `inner` times: profile programs whose dispatches can be repeated, or use inner = 1.
   * Falls back to the host's clock around a wait where the adapter has no timestamps.
   */
  async profile(repeats = 3, inner = 1): Promise<KernelTime[]> {
    const gpu = this.#gpu;
    // A query set of nothing is a validation error.
    if (this.#commands.length === 0) return [];
    const nanoseconds = new Float64Array(this.#commands.length);
    gpu.device.queue.writeBuffer(this.#step.buffer, 0, this.stepWords);
    for (let repeat = 0; repeat < repeats; repeat++) {
      const times = gpu.device.features.has('timestamp-query')
        ? await this.#timestamps(inner)
        : await this.#hostTimes(inner);
      for (let i = 0; i < times.length; i++) nanoseconds[i] += times[i] / (repeats * inner);
    }
    const byKernel = new Map<string, { calls: number; ns: number; flops: number }>();
    this.#commands.forEach((command, i) => {
      const row = byKernel.get(command.label) ?? { calls: 0, ns: 0, flops: 0 };
      row.calls++;
      row.ns += nanoseconds[i];
      row.flops += command.flops ?? Number.NaN;
      byKernel.set(command.label, row);
    });
    return [...byKernel].map(([kernel, { calls, ns, flops }]) => ({
      kernel,
      calls,
      milliseconds: ns / 1e6,
      gflops: flops / ns,
    }));
  }

  async #timestamps(inner: number): Promise<Float64Array> {
    const gpu = this.#gpu;
    const count = this.#commands.length;
    const querySet = gpu.device.createQuerySet({ label: 'profile', type: 'timestamp', count: 2 * count });
    const buffer = gpu.createBuffer('timestamps', 16 * count, GPU_BUFFER_USAGE.QUERY_RESOLVE);
    const encoder = gpu.device.createCommandEncoder({ label: `${this.label} profile` });
    this.#commands.forEach((command, i) => {
      const pass = encoder.beginComputePass({
        label: command.label,
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      });
      for (let j = 0; j < inner; j++) encode(pass, command);
      pass.end();
    });
    encoder.resolveQuerySet(querySet, 0, 2 * count, buffer, 0);
    gpu.submit(encoder);
    const ticks = new BigUint64Array((await gpu.read({ buffer, offset: 0, size: 16 * count }))[0]);
    querySet.destroy();
    buffer.destroy();
    return Float64Array.from(this.#commands, (_, i) => Number(ticks[2 * i + 1] - ticks[2 * i]));
  }

  async #hostTimes(inner: number): Promise<Float64Array> {
    const times = new Float64Array(this.#commands.length);
    for (const [i, command] of this.#commands.entries()) {
      await this.#gpu.idle();
      const before = performance.now();
      const encoder = this.#gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let j = 0; j < inner; j++) encode(pass, command);
      pass.end();
      this.#gpu.submit(encoder);
      await this.#gpu.idle();
      times[i] = (performance.now() - before) * 1e6;
    }
    return times;
  }
}

function encode(pass: GPUComputePassEncoder, command: Command): void {
  pass.setPipeline(command.pipeline);
  pass.setBindGroup(0, command.bindGroup);
  pass.dispatchWorkgroups(...(command.workgroups as [number, number, number]));
}
