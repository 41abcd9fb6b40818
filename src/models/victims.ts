/** Trained models as victims: a stack of layers reading plain or approximate memory, and a linear stack folded into one. */
import type { Victim, VictimRun } from '../attacks/victim.ts';
import type { Arena, Matrix } from '../gpu/arena.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { recordGemm } from '../kernels/gemm.ts';
import { recordRestride } from '../kernels/restride.ts';
import type { DenseSpec } from '../layers/dense.ts';
import { INFERENCE, sizeOf } from '../layers/layer.ts';
import { FlatParameters, ParameterLayout } from '../layers/parameters.ts';
import type { ApproximateMemory } from './approximate_memory.ts';
import {
  inputShape,
  type LayerSpec,
  outputShape,
  plainWeights,
  planGradients,
  planStack,
  recordStackBackward,
  recordStackForward,
  stackParameters,
  type WeightsOf,
} from './stack.ts';

/**
 * A stack of layers as a victim.
 * @param memory where `weights` come from when that is approximate memory: it is read again in every pass that asks so
 */
export function stackVictim(specs: readonly LayerSpec[], weights: WeightsOf, memory?: ApproximateMemory): Victim {
  return {
    inputs: sizeOf(inputShape(specs[0])),
    classes: sizeOf(outputShape(specs[specs.length - 1])),
    get readsPerImage() {
      return memory?.config.granularity === 'inference';
    },
    plan(arena: Arena, x: Matrix): VictimRun {
      const stores = (name: string) => memory?.storesActivation(name) ?? false;
      // The input is the caller's, who may search for it: what the network reads of it is a copy.
      const input = stores('input') ? copyOf(arena, x) : x;
      const activations = planStack(arena, specs, input, INFERENCE, undefined, stores);
      let gradients: ReturnType<typeof planGradients> | undefined;
      const planned = () => {
        gradients ??= planGradients(arena, specs, activations, true);
        return gradients;
      };
      return {
        x,
        logits: activations.values[specs.length],
        get gradLogits() {
          return planned().values[specs.length];
        },
        get gradInput() {
          return planned().values[0];
        },
        recordForward(recorder) {
          memory?.recordPass(recorder, 0);
          const store = (name: string, values: Matrix) => {
            if (stores(name)) memory!.recordActivation(recorder, name, values, x.rows);
          };
          if (input !== x) recordRestride(recorder, { input: x, output: input });
          store('input', input);
          recordStackForward(recorder, arena, specs, weights, activations, store);
        },
        recordInputGradient(recorder) {
          memory?.recordPass(recorder, 1);
          recordStackBackward(recorder, arena, specs, weights, activations, planned(), undefined, true);
        },
      };
    },
  };
}

function copyOf(arena: Arena, { rows, columns }: Matrix): Matrix {
  return arena.matrix('input as it is read', rows, columns);
}

/** Whether two layers in a row have nothing between them, so that their product is one layer. */
export function isLinear(specs: readonly LayerSpec[]): specs is readonly DenseSpec[] {
  return specs.length === 2 && specs[0].kind === 'dense' && specs[0].activation === 'none' && specs[1].kind === 'dense';
}

/**
 * A victim of two layers without activation between them, multiplied out: W = W2 W1, b = W2 b1 + b2. Where one map
 * serves a whole load, every later fetch returns the same values, so reading each weight once and attacking the product
 * is the same attack (sums in another order) at 1/25 of the cost for the published shape. `refold` must run after every
 * load.
 */
export async function foldedVictim(
  arena: Arena,
  specs: readonly DenseSpec[],
  weights: WeightsOf,
): Promise<{ victim: Victim; refold: Program }> {
  const [first, second] = specs;
  const folded: DenseSpec = {
    kind: 'dense',
    name: 'folded',
    inputs: first.inputs,
    outputs: second.outputs,
    activation: 'none',
  };
  const product = new FlatParameters(arena, 'folded layers', new ParameterLayout(stackParameters([folded])));
  const [w1, w2] = [weights(first.name), weights(second.name)];
  if (w1.kind !== 'plain' || w2.kind !== 'plain') throw new Error('fused layers cannot be folded');
  const recorder = new Recorder(arena.gpu);
  const weight = product.matrix('folded.weight');
  recordGemm(recorder, arena, { label: 'fold weights', transposition: 'nn', a: w2.weight, b: w1.weight, c: weight });
  const bias = product.matrix('folded.bias');
  recordGemm(recorder, arena, {
    label: 'fold biases',
    transposition: 'nt',
    a: w1.bias,
    b: w2.weight,
    bias: w2.bias,
    c: bias,
  });
  // The product is a short cut of the emulation: hardware reads both layers in every pass.
  const reads = [...w1.reads, ...w2.reads];
  const weightsOf: WeightsOf = (layer) => ({ ...plainWeights(product)(layer), reads });
  return { victim: stackVictim([folded], weightsOf), refold: await recorder.build('fold') };
}
