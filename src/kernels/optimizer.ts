import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Program, Recorder } from '../gpu/recorder.ts';
import { requireBytes } from './check.ts';
import { flatGrid } from './grid.ts';

/** A program whose step uniform can be set. */
export type StepSetter = Pick<Program, 'setStep'>;

/** Constants of SGD as in torch.optim.SGD with dampening 0 and without Nesterov momentum. */
export interface SgdOptions {
  /** 0..1 */
  readonly momentum: number;
  /** L2 penalty, added to the gradient as weightDecay * w. */
  readonly weightDecay: number;
}

/** Constants of Adam as in torch.optim.Adam. */
export interface AdamOptions {
  /** Decay rates of the first and the second moment, each in [0, 1). */
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** L2 penalty, added to the gradient as weightDecay * w. Default 0. */
  readonly weightDecay?: number;
}

/**
 * One step of SGD with momentum over flat buffers: g += weightDecay w, v = momentum v + g, w -= learningRate v.
 * Before each run of the program, {@link writeSgdStep} sets the learning rate.
 *
 * @param args.count number of elements; the kernel works on whole vec4s, so it also updates up to 3 elements after the last
 * one. The views must hold these elements; in padding, gradients and parameters are zero and stay zero
 * @param args.velocity v; zero before the first step
 * @throws ShapeError
 */
export function recordSgd(
  recorder: Recorder,
  args: { count: number; gradients: BufferView; parameters: BufferView; velocity: BufferView } & SgdOptions,
): void {
  const { count, gradients, parameters, velocity, momentum, weightDecay } = args;
  const kernel = 'sgd';
  const vectors = Math.ceil(count / 4);
  for (const [name, view] of Object.entries({ gradients, parameters, velocity })) {
    requireBytes(kernel, name, view, vectors * 16);
  }
  const { workgroups, constants } = flatGrid(vectors);
  recorder.record({
    label: kernel,
    shader: {
      path: 'optimizer/sgd.wgsl',
      constants: { ...constants, VECTORS: vectors, MOMENTUM: f32(momentum), WEIGHT_DECAY: f32(weightDecay) },
    },
    bindings: [
      ['read', gradients],
      ['write', parameters],
      ['write', velocity],
      ['uniform', recorder.step],
    ],
    workgroups,
    flops: 6 * count,
  });
}

/** Sets the words of the step uniform that {@link recordSgd}'s kernel reads. */
export function writeSgdStep(step: StepSetter, learningRate: number): void {
  step.setStep({ learningRate });
}

/**
 * One step of Adam over flat buffers, or of AMSGrad when `secondMomentMax` is given, by PyTorch's formulas (see
 * shaders/optimizer/adam.wgsl). Before each run of the program, {@link writeAdamStep} sets the step uniform.
 *
 * @param args.count number of elements; the kernel works on whole vec4s as in {@link recordSgd}
 * @param args.firstMoment zero before the first step, like the other moments
 * @throws ShapeError
 */
export function recordAdam(
  recorder: Recorder,
  args: {
    count: number;
    gradients: BufferView;
    parameters: BufferView;
    firstMoment: BufferView;
    secondMoment: BufferView;
    secondMomentMax?: BufferView;
  } & AdamOptions,
): void {
  const { count, gradients, parameters, firstMoment, secondMoment, secondMomentMax, betas, epsilon } = args;
  const kernel = secondMomentMax ? 'adam amsgrad' : 'adam';
  const vectors = Math.ceil(count / 4);
  const views = { gradients, parameters, firstMoment, secondMoment, ...(secondMomentMax && { secondMomentMax }) };
  for (const [name, view] of Object.entries(views)) requireBytes(kernel, name, view, vectors * 16);
  const { workgroups, constants } = flatGrid(vectors);
  recorder.record({
    label: kernel,
    shader: {
      path: 'optimizer/adam.wgsl',
      constants: {
        ...constants,
        VECTORS: vectors,
        ONE_MINUS_BETA1: f32(1 - betas[0]),
        BETA2: f32(betas[1]),
        ONE_MINUS_BETA2: f32(1 - betas[1]),
        EPSILON: f32(epsilon),
        WEIGHT_DECAY: f32(args.weightDecay ?? 0),
      },
      includes: {
        second_moment: secondMomentMax ? 'optimizer/second_moment_amsgrad.wgsl' : 'optimizer/second_moment.wgsl',
      },
    },
    bindings: [
      ['read', gradients],
      ['write', parameters],
      ['write', firstMoment],
      ['write', secondMoment],
      ...(secondMomentMax ? [['write', secondMomentMax] as const] : []),
      ['uniform', recorder.step],
    ],
    workgroups,
    flops: 14 * count,
  });
}

/**
 * Sets the words of the step uniform that {@link recordAdam}'s kernel reads: the bias corrections, computed in
 * double precision, the iteration and the learning rate.
 *
 * @param iteration number of this step, from 1
 */
export function writeAdamStep(
  step: StepSetter,
  learningRate: number,
  betas: readonly [number, number],
  iteration: number,
): void {
  const adamStepSize = learningRate / (1 - betas[0] ** iteration);
  const adamSecondCorrection = 1 / Math.sqrt(1 - betas[1] ** iteration);
  step.setStep({ iteration, learningRate, adamStepSize, adamSecondCorrection });
}

/**
 * values = clamp(values, -limit, limit) over the whole view: weight clipping.
 *
 * @param args.limit above 0
 */
export function recordClip(recorder: Recorder, args: { values: BufferView; limit: number }): void {
  const { values, limit } = args;
  const vectors = Math.floor(values.size / 16);
  const { workgroups, constants } = flatGrid(vectors);
  recorder.record({
    label: 'clip',
    shader: { path: 'optimizer/clip.wgsl', constants: { ...constants, VECTORS: vectors, LIMIT: f32(limit) } },
    bindings: [['write', values]],
    workgroups,
  });
}
