/** Trained models as victims: a stack of layers reading plain or approximate memory, and a linear stack folded into one. */

import { ShapeError } from '../errors.ts';
import type { Arena, Matrix } from '../gpu/arena.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import type { ApproximateMemory } from '../injection/approximate_memory.ts';
import { recordGemm } from '../kernels/gemm.ts';
import { recordRestride } from '../kernels/restride.ts';
import type { DenseSpec } from '../layers/dense.ts';
import { planGraph, recordBackward, recordForward } from '../layers/graph.ts';
import { inputShape, type LayerSpec, layerParameters, outputShape } from '../layers/kinds.ts';
import { sizeOf } from '../layers/layer.ts';
import { ParameterLayout } from '../layers/parameters.ts';
import type { WeightsOf } from '../layers/weights.ts';
import type { Victim, VictimRun } from './victim.ts';

/**
 * A stack of layers as a victim.
 * @param weights {@link plainWeights} of parameters, or `weightsOf` of an approximate memory that is configured already
 * @param memory the approximate memory that `weights` come from, if any; its reads are recorded with every pass
 */
export function stackVictim(specs: readonly LayerSpec[], weights: WeightsOf, memory?: ApproximateMemory): Victim {
  return {
    inputs: sizeOf(inputShape(specs[0])),
    classes: sizeOf(outputShape(specs[specs.length - 1])),
    draws: 1,
    get readsPerImage() {
      return memory?.config.granularity === 'inference';
    },
    plan(arena: Arena, x: Matrix, gradient = true): VictimRun {
      const stores = (name: string) => memory?.storesActivation(name) ?? false;
      // The input belongs to the caller, who may be searching for it: memory errors go into a copy that the network reads.
      const input = stores('input') ? copyOf(arena, x) : x;
      const planned = planGraph(arena, specs, input, { gradients: { input: gradient }, keeps: stores });
      const logits = planned.values[specs.length];
      // A cost writes its gradient also where nothing reads it.
      let unread: Matrix | undefined;
      return {
        x,
        logits,
        get gradLogits() {
          unread ??= planned.gradients[specs.length] ?? arena.matrix('unread gradient', logits.rows, logits.columns);
          return unread;
        },
        get gradInput() {
          const [gradInput] = planned.gradients;
          if (!gradInput) throw new Error('this victim was planned without its input gradient');
          return gradInput;
        },
        recordForward(recorder) {
          memory?.recordPass(recorder, 0);
          const store = (name: string, values: Matrix) => {
            if (stores(name)) memory!.recordActivation(recorder, name, values, x.rows);
          };
          if (input !== x) recordRestride(recorder, { input: x, output: input });
          store('input', input);
          recordForward(recorder, arena, specs, weights, planned, store);
        },
        recordInputGradient(recorder) {
          memory?.recordPass(recorder, 1);
          recordBackward(recorder, arena, specs, weights, planned);
        },
      };
    },
  };
}

function copyOf(arena: Arena, { rows, columns }: Matrix): Matrix {
  return arena.matrix('input as it is read', rows, columns);
}

/** True for exactly two dense layers without an activation between them, so that their product is one layer. */
export function isLinear(specs: readonly LayerSpec[]): specs is readonly DenseSpec[] {
  const [first, second] = specs;
  if (specs.length !== 2 || first.kind !== 'dense' || second.kind !== 'dense') return false;
  return first.activation === 'none' && first.bias !== false && second.bias !== false;
}

/** A victim that is the product of two layers, for several draws, and the programs that multiply them. */
export interface FoldedVictim {
  readonly victim: Victim;
  /** One program per draw: multiplies the layers as they are loaded now and stores the product as that draw. */
  readonly folds: readonly Program[];
}

/**
 * A victim of two layers without activation between them, multiplied out: W = W2 W1, b = W2 b1 + b2. Where the faults
 * stay the same for a whole load, every later fetch returns the same values, so reading each weight once and attacking
 * the product is the same attack (sums in another order) at 1/25 of the cost for the published shape. The products of
 * several draws are stored one after the other, and one dispatch uses them all; each draw has the same bits as in a
 * victim that holds only that draw.
 */
export async function foldedVictim(
  arena: Arena,
  specs: readonly DenseSpec[],
  weights: WeightsOf,
  draws = 1,
): Promise<FoldedVictim> {
  const [first, second] = specs;
  const { inputs } = first;
  const classes = second.outputs;
  const folded: DenseSpec = { kind: 'dense', name: 'folded', inputs, outputs: classes, activation: 'none' };
  const layout = new ParameterLayout(layerParameters([folded]));
  const products = arena.allocate('folded layers', draws * layout.length * 4);
  /** The weight or bias of a draw, in a view that reaches to the last draw. */
  const matrix = (name: string, draw: number): Matrix => {
    const { rows, columns, stride, offset } = layout.find(`folded.${name}`);
    const at = (draw * layout.length + offset) * 4;
    return { buffer: products.buffer, offset: at, size: products.size - at, rows, columns, stride };
  };
  const [w1, w2] = [weights(first.name), weights(second.name)];
  if (w1.kind !== 'plain' || w2.kind !== 'plain') throw new Error('fused layers cannot be folded');
  if (!w1.bias || !w2.bias) throw new Error('layers without a bias cannot be folded');
  if (w1.codes16 || w2.codes16) throw new Error('layers that are read every pass cannot be folded');
  const fold = (draw: number): Promise<Program> => {
    const recorder = new Recorder(arena.gpu);
    const weight = { label: 'fold weights', transposition: 'nn', a: w2.weight, b: w1.weight } as const;
    recordGemm(recorder, arena, { ...weight, c: matrix('weight', draw) });
    const bias = { label: 'fold biases', transposition: 'nt', a: w1.bias!, b: w2.weight, bias: w2.bias } as const;
    recordGemm(recorder, arena, { ...bias, c: matrix('bias', draw) });
    return recorder.build('fold');
  };
  const victim: Victim = {
    inputs,
    classes,
    draws,
    plan(planned: Arena, x: Matrix): VictimRun {
      const rows = x.rows / draws;
      if (!Number.isInteger(rows))
        throw new ShapeError(`${x.rows} inputs cannot be divided into ${draws} equal groups, one per draw`);
      const group = (all: Matrix): Matrix => ({ ...all, rows });
      const batch = (a: Matrix) => ({
        count: draws,
        strideA: rows * a.stride,
        strideB: layout.length,
        strideBias: layout.length,
      });
      // The product is a shortcut of the emulation: hardware would read both layers in every pass of each draw.
      const countReads = (recorder: Recorder) => {
        for (const layer of [...w1.reads, ...w2.reads]) recorder.countRead(layer, 1);
      };
      const logits = planned.matrix('logits', x.rows, classes);
      const gradLogits = planned.matrix('logits gradient', x.rows, classes);
      let gradInput: Matrix | undefined;
      const gradient = () => {
        gradInput ??= planned.matrix('input gradient', x.rows, inputs);
        return gradInput;
      };
      return {
        x,
        logits,
        gradLogits,
        get gradInput() {
          return gradient();
        },
        recordForward(recorder) {
          countReads(recorder);
          recordGemm(recorder, planned, {
            label: 'folded forward',
            transposition: 'nt',
            a: group(x),
            b: matrix('weight', 0),
            bias: matrix('bias', 0),
            c: group(logits),
            batch: batch(x),
          });
        },
        recordInputGradient(recorder) {
          countReads(recorder);
          recordGemm(recorder, planned, {
            label: 'folded input gradient',
            transposition: 'nn',
            a: group(gradLogits),
            b: matrix('weight', 0),
            c: group(gradient()),
            batch: batch(gradLogits),
          });
        },
      };
    },
  };
  return { victim, folds: await Promise.all(Array.from({ length: draws }, (_, draw) => fold(draw))) };
}

/**
 * A victim as seen by an attacker who gets only its released, changed confidences: its logits are the logarithms of these
 * confidences. Its gradInput and recordInputGradient throw an Error.
 * @param record records logits -> logarithms of released confidences, both [rows, classes]; `inputs` are the queries
 */
export function releasedVictim(
  victim: Victim,
  record: (recorder: Recorder, logits: Matrix, released: Matrix, inputs: Matrix) => void,
): Victim {
  return {
    inputs: victim.inputs,
    classes: victim.classes,
    draws: victim.draws,
    get readsPerImage() {
      return victim.readsPerImage;
    },
    plan(arena: Arena, x: Matrix): VictimRun {
      const run = victim.plan(arena, x, false);
      const released = arena.matrix('released confidences', x.rows, victim.classes);
      const gradLogits = arena.matrix('gradient of released confidences', x.rows, victim.classes);
      return {
        x,
        logits: released,
        gradLogits,
        get gradInput(): Matrix {
          throw new Error(
            'released confidences have no gradient; an attack that sees them only must search without it',
          );
        },
        recordForward(recorder) {
          run.recordForward(recorder);
          record(recorder, run.logits, released, x);
        },
        recordInputGradient() {
          throw new Error(
            'released confidences have no gradient; an attack that sees them only must search without it',
          );
        },
      };
    },
  };
}
