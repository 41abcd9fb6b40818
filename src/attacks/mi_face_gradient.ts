/** The gradient that MI-Face descends: of the cost with one read of the victim, or the mean over several reads. */
import { type Arena, type Matrix, roundUp } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { recordTranslate } from '../kernels/image.ts';
import { recordConfidenceCost } from '../kernels/loss.ts';
import { recordAddScaled, recordSearchDirections, recordSearchGradient } from '../kernels/mi_face.ts';
import type { Victim, VictimRun } from '../models/victim.ts';
import type { MiFaceConfig } from './mi_face_config.ts';
import type { SearchSpace } from './search_space.ts';

/** Everything except the victim that the cost of an image depends on. */
interface CostOptions extends Pick<MiFaceConfig, 'cost' | 'search' | 'shift'> {
  readonly space: SearchSpace;
  /** The attacked class of every row. */
  readonly targets: readonly number[];
}

/** The gradient of every row's cost, and rows x (cost, confidence). */
interface CostGradient {
  readonly gradient: Matrix;
  readonly results: BufferView;
}

/** A victim planned for the images of an attack and, for a black box, for its queries. */
interface PlannedCost {
  readonly images: VictimRun;
  readonly queries?: VictimRun;
}

function planCost(arena: Arena, victim: Victim, x: Matrix, { search, shift, targets }: CostOptions): PlannedCost {
  const seen = shift ? arena.matrix('moved images', x.rows, x.columns) : x;
  const images = victim.plan(arena, seen, !search);
  if (!search) return { images };
  const many = 2 * search.directions * targets.length;
  return { images, queries: victim.plan(arena, arena.matrix('queries', many, victim.inputs), false) };
}

function recordPlanned(
  recorder: Recorder,
  arena: Arena,
  { images, queries }: PlannedCost,
  x: Matrix,
  { cost, search, shift = 0, space, targets }: CostOptions,
): CostGradient {
  // The results are added as vec4s, two rows each.
  const resultsOf = (label: string, rows: number) => arena.allocate(label, roundUp(rows * 8, 16));
  const results = resultsOf('attack results', targets.length);
  const moves = { ...space, shift };
  if (shift > 0) recordTranslate(recorder, { ...moves, input: x, output: images.x, back: false });
  images.recordForward(recorder);
  recordConfidenceCost(recorder, {
    cost,
    logits: images.logits,
    targets: targetBuffer(arena, 'targets', targets),
    gradLogits: images.gradLogits,
    results,
  });
  if (!search || !queries) {
    images.recordInputGradient(recorder);
    if (shift === 0) return { gradient: images.gradInput, results };
    const gradient = arena.matrix('gradient of moved images', x.rows, x.columns);
    recordTranslate(recorder, { ...moves, input: images.gradInput, output: gradient, back: true });
    return { gradient, results };
  }
  const { width, channels, latent } = space;
  const many = Array.from({ length: 2 * search.directions }, () => targets).flat();
  const answers = resultsOf('answers', many.length);
  const gradient = arena.matrix('estimated gradient', targets.length, x.columns);
  const searched = latent ? { width: latent.size } : { width, channels };
  const radii = arena.allocate('search radii', targets.length * 4);
  arena.gpu.write(radii, new Float32Array(targets.length).fill(search.sigma));
  recordSearchDirections(recorder, { ...search, x, radii, queries: queries.x, ...searched });
  queries.recordForward(recorder);
  recordConfidenceCost(recorder, {
    cost,
    logits: queries.logits,
    targets: targetBuffer(arena, 'query targets', many),
    gradLogits: queries.gradLogits,
    results: answers,
  });
  recordSearchGradient(recorder, { ...search, results: answers, gradient, ...searched });
  return { gradient, results };
}

function targetBuffer(arena: Arena, label: string, targets: readonly number[]): BufferView {
  const buffer = arena.allocate(label, targets.length * 4);
  arena.gpu.write(buffer, Uint32Array.from(targets));
  return buffer;
}

/** Records the cost of the images and its gradient, with one read of the victim. */
export function recordCostGradient(
  recorder: Recorder,
  arena: Arena,
  victim: Victim,
  x: Matrix,
  options: CostOptions,
): CostGradient {
  return recordPlanned(recorder, arena, planCost(arena, victim, x, options), x, options);
}

/** Several reads of a victim, all of the same shape. */
export interface VictimReads {
  /** The victim in every read; the same object where it reads the memory itself. */
  readonly victims: readonly Victim[];
  /** Call before a program that uses the victim of this read. */
  select(read: number): Promise<void>;
}

/** Mean cost and mean gradient over several reads, one program per read, which {@link run} runs before a step. */
export class GradientReads implements CostGradient {
  readonly gradient: Matrix;
  readonly results: BufferView;
  readonly #reads: VictimReads;
  readonly #programs: readonly Program[];

  private constructor(gradient: Matrix, results: BufferView, reads: VictimReads, programs: readonly Program[]) {
    this.gradient = gradient;
    this.results = results;
    this.#reads = reads;
    this.#programs = programs;
  }

  static async build(arena: Arena, reads: VictimReads, x: Matrix, options: CostOptions): Promise<GradientReads> {
    const { victims } = reads;
    const gradient = arena.matrix('mean gradient', x.rows, x.columns);
    const bytes = roundUp(x.rows * 8, 16);
    const results = arena.allocate('mean results', bytes);
    const planned = new Map([...new Set(victims)].map((victim) => [victim, planCost(arena, victim, x, options)]));
    const build = (victim: Victim, accumulate: boolean) => {
      const recorder = new Recorder(arena.gpu);
      const own = recordPlanned(recorder, arena, planned.get(victim)!, x, options);
      const sum = { scale: 1 / victims.length, accumulate };
      const vectors = (gradient.rows * gradient.stride) / 4;
      recordAddScaled(recorder, { ...sum, vectors, value: own.gradient, sum: gradient });
      recordAddScaled(recorder, { ...sum, vectors: bytes / 16, value: own.results, sum: results });
      return recorder.build('gradient of a read');
    };
    const built = new Map<Victim, Promise<Program>>();
    const programs = victims.map((victim, read) => {
      // The last read comes first and begins the sum.
      if (read === victims.length - 1) return build(victim, false);
      const known = built.get(victim) ?? build(victim, true);
      built.set(victim, known);
      return known;
    });
    return new GradientReads(gradient, results, reads, await Promise.all(programs));
  }

  /**
   * Reads the victim in the reverse order, so that the memory holds the measured load, which is the first, afterwards.
   * @param key of the random directions of a black-box attack, and of random shifts
   */
  async run(iteration: number, key: number): Promise<void> {
    const count = this.#programs.length;
    for (let read = count - 1; read >= 0; read--) {
      await this.#reads.select(read);
      const program = this.#programs[read];
      program.setStep({ passIndex: 2 * (iteration * count + read) });
      program.setStep({ iteration });
      program.setStep({ draw: key });
      program.run();
    }
  }
}
