import { ShaderError } from '../errors.ts';
import { type Dispatch, type DispatchTuning, type DispatchVariant, encode, prepare } from './dispatch.ts';
import { type BufferView, GPU_BUFFER_USAGE, type GuardedDevice } from './guarded_device.ts';
import type { PipelineCache } from './pipelines.ts';

/** Names of the variants that were chosen, by {@link choiceKey}. */
export type TuningChoices = Readonly<Record<string, string>>;

/** Stores choices across processes. Losing them costs only time, so implementations need not be reliable. */
export interface TuningStore {
  /** @param adapter name of the adapter, usable in a file name */
  load(adapter: string): Promise<TuningChoices>;
  save(adapter: string, choices: TuningChoices): Promise<void>;
}

/** Milliseconds that a process spends on measuring, by default. */
const BUDGET = 2000;
/** Shortest timing worth comparing, ms. */
const SHORTEST = 2;
/** Most dispatches in one timing. */
const MOST_REPEATS = 256;
/** Number of timings per variant, fewer if they take long. The shortest one counts, because it was disturbed least. */
const ROUNDS = 7;
/** Milliseconds of timing after which no further round begins. */
const LONGEST = 150;
/** How much faster than the default a variant must be to be chosen. */
const GAIN = 1.05;
/** Bytes of bindings above which a dispatch is not tuned, because tuning needs a copy of them. */
const LARGEST = 2 ** 28;
/** Bytes at the beginning of the first output that are compared between variants; tests compare whole outputs. */
const COMPARED = 2 ** 20;

/**
 * Chooses among variants of a dispatch by measuring them on this adapter, once per key. All variants of a dispatch are to write
 * the same bits. Before one is chosen, the first MiB of its output is compared with that of the default. The tuner works on its
 * own buffers, because those of the program may already contain data.
 */
export class Tuner {
  readonly #gpu: GuardedDevice;
  readonly #pipelines: PipelineCache;
  readonly #store: TuningStore;
  readonly #budget: number;
  readonly #choices = new Map<string, string>();
  /** Resolves when the previous measurements are done: builds may run concurrently, measurements must not. */
  #queue: Promise<void> | undefined;
  #spent = 0;
  #longest = 0;

  /** @param budget most milliseconds of measuring; dispatches after that keep their default, in later processes as well */
  constructor(gpu: GuardedDevice, pipelines: PipelineCache, store: TuningStore, budget = BUDGET) {
    this.#gpu = gpu;
    this.#pipelines = pipelines;
    this.#store = store;
    this.#budget = budget;
  }

  /**
   * Returns the dispatches, with a variant chosen for each that has variants. Dispatches whose key is new are measured while
   * the budget lasts, those with the most operations first. A variant that does not compile on this adapter is not chosen, even
   * if an earlier process stored it.
   * @throws ShaderError when the default of a dispatch that is measured does not compile, DeviceLostError
   */
  async choose(dispatches: readonly Dispatch[]): Promise<Dispatch[]> {
    const tuned = this.#after(this.#queue ?? this.#load(), dispatches);
    this.#queue = tuned.catch(() => {});
    await tuned;
    return Promise.all(
      dispatches.map(async (dispatch) => {
        const { tuning, ...rest } = dispatch;
        const name = tuning && this.#choices.get(choiceKey(tuning));
        const variant = tuning?.variants.find((each) => each.name === name);
        if (!variant) return dispatch;
        const chosen = { ...rest, shader: variant.shader, workgroups: variant.workgroups };
        return variant === tuning?.variants[0] || (await this.#compiles(chosen)) ? chosen : dispatch;
      }),
    );
  }

  /** True if the shader of a dispatch compiles; the pipeline cache keeps it for the program. */
  async #compiles({ shader, bindings }: Dispatch): Promise<boolean> {
    return this.#pipelines
      .get(
        shader,
        bindings.map(([access]) => access),
      )
      .then(
        () => true,
        (error) => {
          if (error instanceof ShaderError) return false;
          throw error;
        },
      );
  }

  async #after(before: Promise<void>, dispatches: readonly Dispatch[]): Promise<void> {
    await before;
    const known = this.#choices.size;
    // The most expensive dispatches come first, in case the budget runs out.
    for (const dispatch of dispatches.toSorted((a, b) => (b.flops ?? 0) - (a.flops ?? 0))) {
      const { tuning } = dispatch;
      if (!tuning || tuning.variants.length < 2 || this.#choices.has(choiceKey(tuning))) continue;
      // A smaller dispatch of the same key may follow.
      if (bytesOf(dispatch) > LARGEST) continue;
      const affordable = this.#spent + this.#longest <= this.#budget;
      const began = performance.now();
      const { name } = affordable ? await this.#measure(dispatch, tuning.variants) : tuning.variants[0];
      this.#choices.set(choiceKey(tuning), name);
      const took = performance.now() - began;
      this.#spent += took;
      this.#longest = Math.max(this.#longest, took);
    }
    if (this.#choices.size > known) await this.#store.save(this.#adapter, Object.fromEntries(this.#choices));
  }

  get #adapter(): string {
    const { vendor, architecture, name } = this.#gpu.adapter;
    return `${vendor} ${architecture} ${name}`
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '');
  }

  async #load(): Promise<void> {
    for (const [key, name] of Object.entries(await this.#store.load(this.#adapter))) this.#choices.set(key, name);
  }

  /** @returns the fastest variant that writes the same bits as the first one */
  async #measure(dispatch: Dispatch, variants: readonly DispatchVariant[]): Promise<DispatchVariant> {
    const { copies: bindings, destroy } = this.#copies(dispatch);
    try {
      const candidates = variants.map(({ shader, workgroups }) => ({ ...dispatch, shader, workgroups, bindings }));
      const runs = await Promise.all(
        candidates.map(async (each, i) =>
          // Only the default must compile.
          i === 0 || (await this.#compiles(each)) ? this.#program(each) : undefined,
        ),
      );
      const outputs = bindings.flatMap(([access, view]) => (access === 'write' ? [view] : []));
      const right = await this.#agreeing(runs, outputs);
      const repeats = await this.#repeatsOf(runs[right[0]]!);
      const shortest = new Map(right.map((i) => [i, Number.POSITIVE_INFINITY]));
      const began = performance.now();
      // The variants take turns, so that other load on the machine affects all of them equally.
      for (let round = 0; round < ROUNDS && (round === 0 || performance.now() - began < LONGEST); round++) {
        const best = Math.min(...shortest.values());
        for (const [i, before] of shortest) {
          // A variant that is far behind need not be timed again.
          if (before > 2 * best) continue;
          shortest.set(i, Math.min(before, await this.#time(runs[i]!, repeats)));
        }
      }
      const [[, byDefault]] = shortest;
      const [fastest, time] = [...shortest].reduce((a, b) => (b[1] < a[1] ? b : a));
      return variants[time * GAIN < byDefault ? fastest : 0];
    } finally {
      destroy();
    }
  }

  /**
   * Runs every variant once, which may still compile.
   * @param runs undefined for a variant that does not compile
   * @returns indices of the variants that write the same as the first
   */
  async #agreeing(
    runs: readonly (((repeats: number) => void) | undefined)[],
    outputs: readonly BufferView[],
  ): Promise<number[]> {
    const right: number[] = [];
    let expected: Uint32Array | undefined;
    for (const [i, run] of runs.entries()) {
      if (!run) continue;
      // Removes the output of the variant before it.
      this.#clear(outputs);
      run(1);
      const words = await this.#gpu.readWords({ ...outputs[0], size: Math.min(outputs[0].size, COMPARED) });
      expected ??= words;
      if (words.every((word, j) => word === expected?.[j])) right.push(i);
    }
    return right;
  }

  /**
   * Number of dispatches that are timed together: on a GPU a single one may take a twentieth of what submitting it and waiting for it
   * take, which would hide how variants differ.
   */
  async #repeatsOf(run: (repeats: number) => void): Promise<number> {
    const waits = [await this.#elapsed(run, 0), await this.#elapsed(run, 0)];
    const wait = Math.min(...waits);
    const one = Math.max((await this.#elapsed(run, 1)) - wait, SHORTEST / MOST_REPEATS);
    return Math.max(1, Math.min(MOST_REPEATS, Math.ceil(Math.max(SHORTEST, 2 * wait) / one)));
  }

  /** Milliseconds per dispatch. */
  async #time(run: (repeats: number) => void, repeats: number): Promise<number> {
    return (await this.#elapsed(run, repeats)) / repeats;
  }

  async #elapsed(run: (repeats: number) => void, repeats: number): Promise<number> {
    await this.#gpu.idle();
    const before = performance.now();
    run(repeats);
    await this.#gpu.idle();
    return performance.now() - before;
  }

  async #program(dispatch: Dispatch): Promise<(repeats: number) => void> {
    const command = await prepare(this.#gpu, this.#pipelines, dispatch);
    const label = `tuning ${dispatch.label}`;
    return (repeats) => {
      const encoder = this.#gpu.device.createCommandEncoder({ label });
      const pass = encoder.beginComputePass({ label });
      for (let i = 0; i < repeats; i++) encode(pass, command);
      pass.end();
      this.#gpu.submit(encoder);
    };
  }

  /** Bindings like those of a dispatch, but with new buffers. Inputs get numbers that are neither zero nor denormal. */
  #copies({ bindings }: Dispatch): { copies: Dispatch['bindings']; destroy(): void } {
    const copies = bindings.map(([access, { size }]) => {
      const usage = access === 'uniform' ? GPU_BUFFER_USAGE.UNIFORM : 0;
      const buffer = this.#gpu.createBuffer('tuning', size, usage);
      if (access === 'read') this.#fill(buffer, size);
      return [access, { buffer, offset: 0, size }] as const;
    });
    return {
      copies,
      destroy: () => {
        for (const [, { buffer }] of copies) buffer.destroy();
      },
    };
  }

  #clear(views: readonly BufferView[]): void {
    const encoder = this.#gpu.device.createCommandEncoder({ label: 'tuning' });
    for (const { buffer } of views) encoder.clearBuffer(buffer);
    this.#gpu.submit(encoder);
  }

  #fill(buffer: GPUBuffer, size: number): void {
    for (let at = 0; at < size; at += PATTERN.byteLength) {
      const length = Math.min(PATTERN.byteLength, size - at);
      this.#gpu.write({ buffer, offset: at, size: length }, PATTERN.subarray(0, length / 4));
    }
  }
}

const PATTERN = Float32Array.from({ length: 2 ** 16 }, (_, i) => ((i * 37) % 101) / 101 - 0.495);

/** The key of a choice. It names the variants, because a choice is valid only among those that were measured. */
export function choiceKey({ key, variants }: DispatchTuning): string {
  return `${key}: ${variants.map(({ name }) => name).join(', ')}`;
}

function bytesOf({ bindings }: Dispatch): number {
  return bindings.reduce((sum, [, { size }]) => sum + size, 0);
}
