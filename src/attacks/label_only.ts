/**
 * Boundary repulsion (BREP-MI: Kahla, Chen, Just, Jia, CVPR 2022) as an attack of an experiment. It sees only the person that the
 * victim names. From an image inside a class it asks for points on a sphere around the image, moves away from those outside the
 * class, and enlarges the sphere when nearly all of them are inside. The publication searches the latent space of a generator, this
 * attack pixels, and points come in opposite pairs.
 */
import * as v from 'valibot';
import { Arena, type Matrix } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import type { ImageSize } from '../image_size.ts';
import { recordGatherBatch } from '../kernels/batch.ts';
import { recordSoftmaxCrossEntropy } from '../kernels/loss.ts';
import { recordSearchDirections, recordSearchGradient } from '../kernels/mi_face.ts';
import type { Victim, VictimRun } from '../models/victim.ts';
import type { Attack, AttackContext, AttackedVictim, AttackOutput, AttackResult, BuiltAttack, Tick } from './attack.ts';
import { Predictor } from './inversion.ts';
import { searchKey } from './mi_face.ts';

const whole = (low: number, high: number) =>
  v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(low), v.maxValue(high));
const number = (low: number, high: number) => v.pipe(v.number('must be a number'), v.minValue(low), v.maxValue(high));

export const LabelOnlyOptions = v.strictObject({
  kind: v.literal('label-only'),
  iterations: v.pipe(whole(1, 1_000_000), v.description('Moves of every image, accepted or not.')),
  pairs: v.optional(
    v.pipe(
      whole(1, 4095),
      v.description('Pairs of opposite points on the sphere; each costs two queries per iteration.'),
    ),
    16,
  ),
  radius: v.optional(
    v.pipe(
      number(1e-6, 10),
      v.description('First radius of the sphere: the distance of its points in every value, in pixel units (0..1).'),
    ),
    0.1,
  ),
  growth: v.optional(
    v.pipe(
      number(1, 10),
      v.description('Factor of the radius where nearly all points are inside; its inverse where none is.'),
    ),
    1.3,
  ),
  cell: v.pipe(whole(1, 64), v.description('Side of the square of pixels that a point moves together.')),
});
export type LabelOnlyConfig = v.InferOutput<typeof LabelOnlyOptions>;

/** Share of the points inside the class above which the sphere grows, and the step as a share of its radius, as published. */
const GROWS_ABOVE = 7 / 8;
const STEP = 1 / 3;

const outputOf = ({ iterations }: LabelOnlyConfig): AttackOutput => ({
  name: 'label-only',
  title: 'Boundary repulsion, labels only',
  split: 'training',
  units: iterations,
});

export const LABEL_ONLY: Attack<LabelOnlyConfig> = {
  kind: 'label-only',
  title: 'Boundary repulsion',
  onPhotographs: false,
  needsPublicFaces: true,
  description:
    'Boundary repulsion (BREP-MI, Kahla et al., CVPR 2022): sees only the person that the victim names, and moves a public face ' +
    'away from the boundary of the class.',
  schema: LabelOnlyOptions,
  access: () => 'labels',
  defaults: ({ width, height }) => ({
    kind: 'label-only',
    iterations: 200,
    cell: Math.max(1, Math.round(Math.min(width, height) / 16)),
  }),
  outputs: (config) => [outputOf(config)],
  prepare: async (config, context) => ({
    outputs: [outputOf(config)],
    varies: true,
    keepsPublicFaces: true,
    build: ({ victim, release }: AttackedVictim) =>
      BuiltLabelOnly.build(config, context, release?.isRandom ? release.apply(victim) : victim),
  }),
};

class BuiltLabelOnly implements BuiltAttack {
  readonly #context: AttackContext;
  readonly #predictor: Predictor;
  readonly #search: BoundarySearch;
  readonly #arena: Arena;
  readonly #order: BufferView;
  readonly #gather: Program;

  private constructor(
    context: AttackContext,
    predictor: Predictor,
    search: BoundarySearch,
    arena: Arena,
    order: BufferView,
    gather: Program,
  ) {
    this.#context = context;
    this.#predictor = predictor;
    this.#search = search;
    this.#arena = arena;
    this.#order = order;
    this.#gather = gather;
  }

  static async build(config: LabelOnlyConfig, context: AttackContext, victim: Victim): Promise<BuiltLabelOnly> {
    const { gpu, people, publicFaces, batchSize } = context;
    const { data, indices } = publicFaces!;
    const search = await BoundarySearch.build(gpu, victim, context, people, config);
    const predictor = await Predictor.build(gpu, victim, data, indices, batchSize);
    const arena = new Arena(gpu);
    const order = arena.allocate('starts', people.length * 4);
    const targets = arena.allocate('labels of starts', people.length * 4);
    const recorder = new Recorder(gpu);
    recordGatherBatch(recorder, { ...data, order, images: search.x, targets });
    return new BuiltLabelOnly(context, predictor, search, arena, order, await recorder.build('starts'));
  }

  get plan(): string {
    return `label-only ${this.#search.plan}, ${this.#predictor.plan}`;
  }

  async run(_output: AttackOutput, [draw]: readonly number[], tick: Tick): Promise<AttackResult[]> {
    const { gpu, people, publicFaces, batchSize, seed } = this.#context;
    const { indices } = publicFaces!;
    // Every public face is one query, for all people together; the first that the victim takes for a person is the start.
    const labels = labelsOf(await this.#predictor.run(), indices.length);
    const faces = people.map((person) => labels.indexOf(person));
    gpu.write(
      this.#order,
      Uint32Array.from(faces, (face) => indices[Math.max(0, face)]),
    );
    this.#gather.run();
    const starts = await this.#search.images();
    const active = faces.map((face) => face >= 0);
    const firstPass = Math.ceil(indices.length / batchSize);
    const { images, queries } = await this.#search.run(active, searchKey(seed, draw), firstPass, tick);
    const reconstructions = people.map((person, i) => ({
      image: images[i],
      person,
      failed: !active[i] || images[i].every((value, k) => value === starts[i][k]),
    }));
    const asked = queries.reduce((sum, count) => sum + count, indices.length);
    return [{ reconstructions, queries: asked / people.length }];
  }

  destroy(): void {
    this.#predictor.destroy();
    this.#search.destroy();
    this.#arena.destroy();
  }
}

/** The class that the victim names for every row of logits: the first of the largest; -1 where one is not finite. */
function labelsOf(logits: Float32Array, rows: number): number[] {
  const classes = logits.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    const own = logits.subarray(row * classes, (row + 1) * classes);
    return own.every(Number.isFinite) ? own.indexOf(own.reduce((a, b) => Math.max(a, b))) : -1;
  });
}

/** The result of a search: an image per class, and the queries that each took. */
export interface BoundaryResult {
  /** [height, width, channels], 0..1; inside the class wherever the start was. */
  readonly images: readonly Float32Array[];
  readonly queries: readonly number[];
}

/** Boundary repulsion for several classes together, from images in {@link x} that the victim assigns to them. */
export class BoundarySearch {
  /** The images, which the caller writes before {@link run}: [targets, values], 0..1. */
  readonly x: Matrix;
  readonly #arena: Arena;
  readonly #config: LabelOnlyConfig;
  readonly #radii: BufferView;
  readonly #sphere: Asked;
  readonly #gradient: Matrix;
  readonly #images: Asked;
  #ask!: Program;
  #check!: Program;

  private constructor(arena: Arena, victim: Victim, targets: readonly number[], config: LabelOnlyConfig) {
    this.#arena = arena;
    this.#config = config;
    this.x = arena.matrix('attack x', targets.length, victim.inputs);
    this.#radii = arena.allocate('radii', targets.length * 4);
    this.#gradient = arena.matrix('direction', targets.length, victim.inputs);
    const many = Array.from({ length: 2 * config.pairs }, () => targets).flat();
    this.#sphere = asked(arena, victim, arena.matrix('points', many.length, victim.inputs), many);
    this.#images = asked(arena, victim, this.x, targets);
  }

  /** @param targets the class of every row of {@link x} */
  static async build(
    gpu: Gpu,
    victim: Victim,
    size: ImageSize,
    targets: readonly number[],
    config: LabelOnlyConfig,
  ): Promise<BoundarySearch> {
    const search = new BoundarySearch(new Arena(gpu), victim, targets, config);
    const { width, channels } = size;
    const directions = { directions: config.pairs, cell: config.cell, width, channels };
    const recorder = new Recorder(gpu);
    const points = search.#sphere.run.x;
    recordSearchDirections(recorder, { ...directions, x: search.x, radii: search.#radii, queries: points });
    recordLabels(recorder, search.#sphere);
    // The second answer is 1 inside the class: the mean of the points inside minus those outside, in units of the radius.
    const { results } = search.#sphere;
    recordSearchGradient(recorder, { ...directions, sigma: 1, answer: 1, results, gradient: search.#gradient });
    search.#ask = await recorder.build('points on the sphere');
    const check = new Recorder(gpu);
    recordLabels(check, search.#images);
    search.#check = await check.build('moved images');
    return search;
  }

  /**
   * @param active false for rows that are left as they are, because their image is not inside the class
   * @param key of the random directions, from searchKey
   * @param firstPass number of passes of the same load that came before
   * @throws DeviceLostError
   */
  async run(
    active: readonly boolean[],
    key: number,
    firstPass: number,
    tick: Tick = () => {},
  ): Promise<BoundaryResult> {
    const { gpu } = this.#arena;
    const { iterations, pairs, growth } = this.#config;
    const { rows, stride } = this.x;
    const points = 2 * pairs;
    const queries = active.map(() => 0);
    const radii = new Float32Array(rows).fill(this.#config.radius);
    const x = await gpu.readFloats(this.x);
    for (let t = 0; t < iterations; t++) {
      gpu.write(this.#radii, radii);
      this.#ask.setStep({ passIndex: 2 * (firstPass + 2 * t) });
      this.#ask.setStep({ iteration: t });
      this.#ask.setStep({ draw: key });
      this.#ask.run();
      const read = await gpu.read(this.#sphere.results, this.#gradient);
      const [answers, direction] = read.map((bytes) => new Float32Array(bytes));
      const moved = x.slice();
      for (const row of active.keys()) {
        if (!active[row]) continue;
        let inside = 0;
        for (let point = 0; point < points; point++) inside += answers[2 * (point * rows + row) + 1];
        for (let i = row * stride; i < (row + 1) * stride; i++) {
          moved[i] = Math.min(1, Math.max(0, x[i] + STEP * radii[row] * direction[i]));
        }
        if (inside > GROWS_ABOVE * points) radii[row] *= growth;
        if (inside === 0) radii[row] /= growth;
        queries[row] += points + 1;
      }
      gpu.write(this.x, moved);
      this.#check.setStep({ passIndex: 2 * (firstPass + 2 * t + 1) });
      this.#check.run();
      const labels = await gpu.readFloats(this.#images.results);
      for (const row of active.keys()) {
        // A step that leaves the class is not taken; the next one asks for other points.
        const isInside = active[row] && labels[2 * row + 1] === 1;
        if (isInside) x.set(moved.subarray(row * stride, (row + 1) * stride), row * stride);
      }
      gpu.write(this.x, x);
      await tick(t + 1, () => this.images());
    }
    return { images: await this.images(), queries };
  }

  /** The images as they are now. */
  async images(): Promise<Float32Array[]> {
    const { rows, columns, stride } = this.x;
    const x = await this.#arena.gpu.readFloats(this.x);
    return Array.from({ length: rows }, (_, row) => x.slice(row * stride, row * stride + columns));
  }

  get plan(): string {
    return String(this.#arena);
  }

  destroy(): void {
    this.#arena.destroy();
  }
}

/** Images of which the victim is asked for the class, and its answers. */
interface Asked {
  readonly run: VictimRun;
  readonly targets: BufferView;
  /** Of every image: a loss that a label-only attacker does not see, and 1 if the victim names its target, else 0. */
  readonly results: BufferView;
}

function asked(arena: Arena, victim: Victim, x: Matrix, classes: readonly number[]): Asked {
  const targets = arena.allocate('targets', classes.length * 4);
  arena.gpu.write(targets, Uint32Array.from(classes));
  return { run: victim.plan(arena, x, false), targets, results: arena.allocate('labels', classes.length * 8) };
}

function recordLabels(recorder: Recorder, { run, targets, results }: Asked): void {
  run.recordForward(recorder);
  recordSoftmaxCrossEntropy(recorder, { logits: run.logits, gradLogits: run.gradLogits, targets, results });
}
