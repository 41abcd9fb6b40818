/** Launchers of the kernels of MI-Face other than the model: judging, stepping, and searching without gradients. */
import type { Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { MI_FACE_STATE } from '../gpu/structs.ts';
import type { ImageSizeInput } from '../image_size.ts';
import { requireBytes, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** Stands for infinity, which a WGSL constant cannot hold. */
const NEVER = 3.0e38;

/**
 * Compares the objective of every class with its best so far and decides which classes continue.
 * @param args.results rows x (objective, confidence)
 * @param args.state rows of {@link MI_FACE_STATE}
 * @param args.beta iterations without progress after which a class stops
 * @param args.gamma objective at or below which a class stops; -Infinity for never
 * @param args.keep which image of a class {@link recordMiFaceStep} retains
 */
export function recordMiFaceJudge(
  recorder: Recorder,
  args: {
    rows: number;
    results: BufferView;
    state: BufferView;
    beta: number;
    gamma: number;
    keep: 'best' | 'last';
  },
): void {
  const { rows, results, state } = args;
  const kernel = 'mi_face_judge';
  requireBytes(kernel, 'results', results, rows * 8);
  requireBytes(kernel, 'state', state, rows * MI_FACE_STATE.words * 4);
  const { workgroups, constants } = flatGrid(rows);
  recorder.record({
    label: kernel,
    shader: {
      path: 'optimizer/mi_face_judge.wgsl',
      constants: {
        WORKGROUP_SIZE: constants.WORKGROUP_SIZE,
        ROWS: rows,
        BETA: Number.isFinite(args.beta) ? args.beta : 0xffffffff,
        GAMMA: f32(Math.max(-NEVER, args.gamma)),
        KEEP_LAST: args.keep === 'last',
      },
    },
    bindings: [
      ['read', results],
      ['write', state],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

/**
 * Retains the image of every class that {@link recordMiFaceJudge} marked, and takes one descent step for every active class;
 * the step uniform's learning rate is the step size.
 * @param args.normalise divide every gradient by its L2 norm
 * @throws ShapeError
 */
export function recordMiFaceStep(
  recorder: Recorder,
  args: {
    gradient: Matrix;
    norms: BufferView;
    state: BufferView;
    x: Matrix;
    velocity: Matrix;
    retained: Matrix;
    momentum: number;
    normalise: boolean;
  },
): void {
  const { gradient, norms, state, x, velocity, retained } = args;
  const kernel = 'mi_face_step';
  const { ROWS, STRIDE } = shapeConstants(kernel, 'x', x);
  for (const [name, matrix] of Object.entries({ gradient, velocity, retained })) {
    requireSameShape(kernel, 'x', x, name, matrix);
  }
  const { workgroups, constants } = flatGrid((x.rows * x.stride) / 16);
  recorder.record({
    label: kernel,
    shader: {
      path: 'optimizer/mi_face_step.wgsl',
      constants: { ...constants, ROWS, STRIDE, MOMENTUM: f32(args.momentum), NORMALISE: args.normalise },
    },
    bindings: [
      ['read', gradient],
      ['read', norms],
      ['read', state],
      ['write', x],
      ['write', velocity],
      ['write', retained],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

/**
 * sum = scale * value, or sum += scale * value, over flat buffers: the mean of several reads.
 * @param args.vectors number of vec4s
 * @throws ShapeError
 */
export function recordAddScaled(
  recorder: Recorder,
  args: { vectors: number; value: BufferView; sum: BufferView; scale: number; accumulate: boolean },
): void {
  const { vectors, value, sum, scale, accumulate } = args;
  const kernel = 'add_scaled';
  requireBytes(kernel, 'value', value, vectors * 16);
  requireBytes(kernel, 'sum', sum, vectors * 16);
  const { workgroups, constants } = flatGrid(vectors);
  recorder.record({
    label: kernel,
    shader: {
      path: 'optimizer/add_scaled.wgsl',
      constants: { ...constants, VECTORS: vectors, SCALE: f32(scale), ACCUMULATE: accumulate },
    },
    bindings: [
      ['read', value],
      ['write', sum],
    ],
    workgroups,
    flops: 8 * vectors,
  });
}

/** The random directions along which a black-box attacker searches. */
export interface SearchDirections {
  /** Random directions per iteration; each costs two queries per class. */
  readonly directions: number;
  /** Side length in pixels of the squares whose pixels share a value of a direction, in each channel. */
  readonly cell: number;
  /** Values of a direction: signs +-1 (default) or standard normal numbers. */
  readonly distribution?: 'signs' | 'gaussian';
}

export interface SearchOptions extends SearchDirections {
  /** Step along a direction to either side, in pixel units. */
  readonly sigma: number;
}

/** Width of the searched images in pixels, and their channels. */
export type SearchedImages = Pick<ImageSizeInput, 'width' | 'channels'>;

/**
 * queries = x +- radius u for every direction u. `queries` is [2 * directions * rows, values].
 * @param args.radii rows x f32: the length of the step of each row, in pixel units
 * @throws ShapeError
 */
export function recordSearchDirections(
  recorder: Recorder,
  args: { x: Matrix; radii: BufferView; queries: Matrix } & SearchedImages & SearchDirections,
): void {
  const { x, radii, queries } = args;
  const kernel = 'search_directions';
  const shape = shapeConstants(kernel, 'x', x);
  requireSameShape(
    kernel,
    'both sides of every direction',
    { ...x, rows: 2 * args.directions * x.rows },
    'queries',
    queries,
  );
  requireBytes(kernel, 'radii', radii, x.rows * 4);
  const { workgroups, constants } = flatGrid(queries.rows * queries.stride);
  recorder.record({
    label: kernel,
    shader: {
      path: 'optimizer/search_directions.wgsl',
      constants: { ...constants, ...shape, ...searchConstants(args) },
    },
    bindings: [
      ['read', x],
      ['read', radii],
      ['write', queries],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

/**
 * gradient = mean over directions of the central difference of an answer times the direction.
 * @param args.results 2 * directions * rows x 2 f32, in the order of the queries of {@link recordSearchDirections}
 * @param args.answer which of the two answers counts; the first by default
 * @throws ShapeError
 */
export function recordSearchGradient(
  recorder: Recorder,
  args: { results: BufferView; gradient: Matrix; answer?: 0 | 1 } & SearchedImages & SearchOptions,
): void {
  const { results, gradient } = args;
  const kernel = 'search_gradient';
  const shape = shapeConstants(kernel, 'gradient', gradient);
  requireBytes(kernel, 'results', results, 2 * args.directions * gradient.rows * 8);
  const { workgroups, constants } = flatGrid(gradient.rows * gradient.stride);
  recorder.record({
    label: kernel,
    shader: {
      path: 'optimizer/search_gradient.wgsl',
      constants: { ...constants, ...shape, ...searchConstants(args), SIGMA: f32(args.sigma), ANSWER: args.answer ?? 0 },
    },
    bindings: [
      ['read', results],
      ['write', gradient],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

function searchConstants({ directions, cell, distribution, width, channels = 1 }: SearchDirections & SearchedImages) {
  return {
    DIRECTIONS: directions,
    CELL: cell,
    GAUSSIAN: distribution === 'gaussian',
    WIDTH: width,
    CHANNELS: channels,
  };
}
