import type { Gpu } from './device.ts';
import { type Command, type Dispatch, encode, prepare } from './dispatch.ts';
import { type BufferView, GPU_BUFFER_USAGE } from './guarded_device.ts';
import type { ProgramProfile } from './profiler.ts';
import { STEP, type Values, writeFields } from './structs.ts';

/** How often one run of a program reads the weights of a layer from memory. */
export interface WeightRead {
  readonly layer: string;
  readonly times: number;
}

/**
 * Collects the dispatches of one training step, one inference or one attack iteration. `build()` compiles all pipelines
 * in parallel and makes every bind group; every run of the result is encoded as one pass and one submit.
 */
export class Recorder {
  readonly gpu: Gpu;
  /** The uniform buffer of 64 bytes that changes from step to step: read counters, learning rate, offsets. */
  readonly step: BufferView;
  readonly #dispatches: Dispatch[] = [];
  readonly #weightReads: WeightRead[] = [];

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    const size = STEP.words * 4;
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

  /** Notes that the program reads weights. The energy of an inference is computed from these notes. */
  countRead(layer: string, times: number): void {
    this.#weightReads.push({ layer, times });
  }

  /** @throws ShaderError when a kernel does not compile, DeviceLostError */
  async build(label: string): Promise<Program> {
    const { gpu } = this;
    const dispatches = (await gpu.tuner?.choose(this.#dispatches)) ?? this.#dispatches;
    const commands = await Promise.all(dispatches.map((dispatch) => prepare(gpu, gpu.pipelines, dispatch)));
    return new Program(gpu, label, this.step, commands, this.#weightReads);
  }
}

/** A recorded list of dispatches, ready to run. */
export class Program {
  readonly label: string;
  /** The weights that a run reads, in the order of reading. */
  readonly weightReads: readonly WeightRead[];
  /** The step uniform of the next run. */
  readonly #stepWords = new Uint32Array(STEP.words);
  readonly #gpu: Gpu;
  readonly #step: BufferView;
  readonly #commands: readonly Command[];
  readonly #profile: ProgramProfile | undefined;

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
    this.#profile = gpu.profiler?.watch(label, commands);
  }

  /** Number of dispatches of a run. */
  get length(): number {
    return this.#commands.length;
  }

  /** Sets fields of the step uniform, which keep their values until they are set again. */
  setStep(values: Values<typeof STEP>): void {
    writeFields(STEP, this.#stepWords, values);
  }

  /** Sets a field of several words. */
  setStepWords(field: keyof typeof STEP.at, words: readonly number[]): void {
    this.#stepWords.set(words, STEP.at[field]);
  }

  /** Encodes every dispatch in one compute pass and submits once. Does not wait. @throws DeviceLostError */
  run(): void {
    const profile = this.#profile;
    const before = profile ? performance.now() : 0;
    const timed = profile?.wantsTiming() ?? false;
    this.#gpu.device.queue.writeBuffer(this.#step.buffer, 0, this.#stepWords);
    const encoder = this.#gpu.device.createCommandEncoder({ label: this.label });
    // Debuggers of GPUs show these groups; without a profiler they would only take time of the host.
    if (profile) encoder.pushDebugGroup(this.label);
    if (timed) this.#encodeTimed(encoder);
    else {
      const pass = encoder.beginComputePass({ label: this.label });
      for (const command of this.#commands) {
        if (profile) pass.pushDebugGroup(command.label);
        encode(pass, command);
        if (profile) pass.popDebugGroup();
      }
      pass.end();
    }
    if (profile) encoder.popDebugGroup();
    this.#gpu.submit(encoder);
    profile?.ran(timed, before);
  }

  /** The same dispatches in the same order, each in a pass of its own. */
  #encodeTimed(encoder: GPUCommandEncoder): void {
    const profile = this.#profile!;
    for (const [i, command] of this.#commands.entries()) {
      const pass = profile.pass(encoder, i);
      encode(pass, command);
      pass.end();
    }
    profile.resolve(encoder);
  }
}
