/**
 * Runs every kernel once, on a small odd shape, and compares it with its reference on the CPU. `midas doctor` does this to
 * check an adapter; the test suite does the same with many shapes.
 *
 * References and tolerances live in src/reference.
 */
import { renderFaces } from '../data/render_faces.ts';
import { InterruptedError } from '../errors.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Program } from '../gpu/recorder.ts';
import { ACTIVATION_LAYERS } from './kernels/activation.ts';
import { CONVOLUTIONS } from './kernels/conv.ts';
import { DIRECT_CONVOLUTIONS } from './kernels/conv_direct.ts';
import { DEPENDENCES } from './kernels/dependence.ts';
import { FLIPS } from './kernels/flips.ts';
import { GEMMS } from './kernels/gemm.ts';
import { BATCHES, COPIES, IMAGE_FILTERS } from './kernels/image.ts';
import { INTEGERS } from './kernels/integer.ts';
import { LOSSES } from './kernels/loss.ts';
import { MEMORY } from './kernels/memory.ts';
import { MI_FACE } from './kernels/mi_face.ts';
import { NORMS } from './kernels/norm.ts';
import { OPTIMIZERS } from './kernels/optimizer.ts';
import { POOLS } from './kernels/pool.ts';
import { PROBES } from './kernels/probe.ts';
import { REDUCTIONS } from './kernels/reduce.ts';
import { type Check, Trial } from './kernels/trial.ts';

/** The result of checking one kernel. */
export interface KernelCheck {
  readonly kernel: string;
  /** The largest absolute error; the error of the worst element if any exceed their tolerance. NaN without a result. */
  readonly maxError: number;
  /** The tolerance at that element. */
  readonly tolerance: number;
  readonly ok: boolean;
  /** Shader files that ran, relative to shaders/: entry points, and the files that filled their slots. */
  readonly shaders: readonly string[];
  /** The reason why there is no valid output, such as the message of the compiler or the launcher. */
  readonly failure?: string;
}

const CHECKS: readonly Check[] = [
  ...GEMMS,
  ...INTEGERS,
  ...CONVOLUTIONS,
  ...DIRECT_CONVOLUTIONS,
  ...MEMORY,
  ...FLIPS,
  ...ACTIVATION_LAYERS,
  ...NORMS,
  ...POOLS,
  ...LOSSES,
  ...DEPENDENCES,
  ...REDUCTIONS,
  ...OPTIMIZERS,
  ...BATCHES,
  ...COPIES,
  ...IMAGE_FILTERS,
  ...MI_FACE,
  ...PROBES,
];

/** The renderer has no reference: its picture must not be blank, and must not depend on how the work is split. */
const RENDERER = { kernel: 'render_face', shaders: ['image/render_face.wgsl'] };

const checksFor = (gpu: Gpu) => CHECKS.filter(({ quads }) => !quads || gpu.quads);

/** Names of the kernels that {@link selfCheck} checks: all that may run on this adapter. */
export function checkedKernels(gpu: Gpu): string[] {
  return [...checksFor(gpu), RENDERER].map(({ kernel }) => kernel);
}

export interface SelfCheckOptions {
  /** Names of {@link checkedKernels}; all by default. */
  readonly kernels?: readonly string[];
  /** Called when a kernel is compiled, which takes most of the time; in no particular order. */
  readonly onCompiled?: (kernel: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Runs kernels and compares them with their references. All of them compile at the same time, so the first may take a while.
 *
 * @returns one entry per kernel, in the order of {@link checkedKernels}; a kernel that does not compile is reported as failed
 * @throws DeviceLostError, InterruptedError
 */
export async function selfCheck(gpu: Gpu, options: SelfCheckOptions = {}): Promise<KernelCheck[]> {
  const { kernels = checkedKernels(gpu), onCompiled, signal } = options;
  const trials = checksFor(gpu)
    .filter(({ kernel }) => kernels.includes(kernel))
    .map((check) => start(gpu, check));
  const rendered = kernels.includes(RENDERER.kernel) ? [checkRenderer(gpu)] : [];
  for (const { check, program } of trials) void program.then(() => onCompiled?.(check.kernel));
  // A lost device is reported where the result is awaited, not here.
  for (const check of rendered) check.then(({ kernel }) => onCompiled?.(kernel)).catch(() => {});
  const results: KernelCheck[] = [];
  try {
    for (const finish of [...trials.map((trial) => () => run(gpu, trial)), ...rendered.map((check) => () => check)]) {
      if (signal?.aborted) throw new InterruptedError('interrupted');
      results.push(await finish());
    }
  } finally {
    await Promise.allSettled([...rendered, ...trials.map(({ program }) => program)]);
    for (const { trial } of trials) trial.destroy();
  }
  return results;
}

interface Started {
  readonly check: Check;
  readonly trial: Trial;
  /** Never rejects: an error is its value. */
  readonly program: Promise<Program | Error>;
}

function start(gpu: Gpu, check: Check): Started {
  const trial = new Trial(gpu);
  const build = async () => {
    check.record(trial);
    return trial.recorder.build(check.kernel);
  };
  return { check, trial, program: build().catch((error: Error) => error) };
}

async function run(gpu: Gpu, { check, trial, program: building }: Started): Promise<KernelCheck> {
  const program = await building;
  gpu.check();
  const shaders = [...trial.recorder.shaders];
  const { kernel } = check;
  if (program instanceof Error) {
    return { kernel, maxError: Number.NaN, tolerance: 0, ok: false, shaders, failure: program.message };
  }
  check.prepare?.(program);
  program.run();
  const bytes = await gpu.read(...trial.outputs.map(({ view }) => view));
  const worst = new Worst();
  for (const [i, { expected, tolerance, words }] of trial.outputs.entries()) {
    const actual = words ? new Uint32Array(bytes[i]) : new Float32Array(bytes[i]);
    for (let j = 0; j < expected.length; j++) {
      const { absolute, relative } = tolerance(j);
      worst.see(Math.abs(actual[j] - expected[j]), absolute + relative * Math.abs(expected[j]));
    }
  }
  return { kernel, ...worst.result(), shaders };
}

/** Finds the largest error, or the worst among those beyond their tolerance if there are any. */
class Worst {
  #error = 0;
  #tolerance = 0;
  #excess = 1;

  see(error: number, tolerance: number): void {
    if (!(error <= tolerance)) {
      const excess = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / tolerance;
      if (excess < this.#excess || (excess === this.#excess && !(error > this.#error))) return;
      this.#excess = excess;
    } else if (this.#excess > 1 || error < this.#error || (error === this.#error && tolerance < this.#tolerance)) {
      return;
    }
    this.#error = error;
    this.#tolerance = tolerance;
  }

  result(): { maxError: number; tolerance: number; ok: boolean } {
    return { maxError: this.#error, tolerance: this.#tolerance, ok: this.#excess <= 1 };
  }
}

async function checkRenderer(gpu: Gpu): Promise<KernelCheck> {
  const size = { population: 'private', identities: 2, photographs: 2, width: 13, height: 17, seed: 1 } as const;
  try {
    const whole = await renderFaces(gpu, size);
    const again = await renderFaces(gpu, { ...size, pixelsPerSubmit: 500 });
    let error = 0;
    for (const [i, pixel] of whole.images.entries()) error = Math.max(error, Math.abs(pixel - again.images[i]));
    const blank = new Set(whole.images).size < 16;
    const failure = blank ? 'the faces are blank' : undefined;
    return { ...RENDERER, maxError: error, tolerance: 0, ok: error === 0 && !blank, failure };
  } catch (error) {
    gpu.check();
    return { ...RENDERER, maxError: Number.NaN, tolerance: 0, ok: false, failure: (error as Error).message };
  }
}
