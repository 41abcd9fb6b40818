import { expect, it } from 'vitest';
import { modelLayout } from '../../src/models/model_parameters.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { Random } from '../../src/random.ts';
import { mse, softmaxCrossEntropy } from '../../src/reference/loss.ts';
import { type Parameters, stackBackward, stackForward } from '../reference/model.ts';

// Other tests compare the device with the float64 reference of the models; this one checks it by finite differences.

const BATCH = 3;
const STEP = 1e-6;

function randomValues(count: number, seed: number): Float64Array {
  const random = new Random(seed);
  return Float64Array.from({ length: count }, () => random.nextU32() / 2 ** 31 - 1);
}

const mean = (results: Float64Array) => results.reduce((sum, value, i) => (i % 2 ? sum : sum + value), 0) / BATCH;

it.each([
  ['softmax', [], 'classify'],
  ['mlp', [4], 'classify'],
  ['mlp-sigmoid', [4], 'classify'],
  ['dae', [5, 3], 'classify'],
  ['dae', [5, 3], 'reconstruct'],
] as const)(
  'the gradients of the %s reference with hidden layers %s agree with finite differences: %s',
  (kind, hidden, loss) => {
    const spec = modelSpec(kind, 6, 4, hidden);
    const specs = loss === 'classify' ? spec.layers : [...spec.layers.slice(0, spec.encoderLayers), ...spec.decoder];
    const parameters: Parameters = new Map(
      modelLayout(spec).slices.map(({ name, rows, columns, index }) => [name, randomValues(rows * columns, index)]),
    );
    const x = randomValues(BATCH * 6, 99);
    const targets = [1, 3, 0];
    const judge = (output: Float64Array) =>
      loss === 'classify' ? softmaxCrossEntropy(output, targets, 4) : mse(output, randomValues(BATCH * 6, 98), 6);
    const forward = () => stackForward(specs, parameters, x, BATCH);
    const lossNow = () => mean(judge(forward().at(-1)!).results);

    const values = forward();
    const gradients = stackBackward(specs, parameters, values, judge(values.at(-1)!).gradient);
    const check = (array: Float64Array, gradient: Float64Array, name: string) => {
      for (let i = 0; i < array.length; i++) {
        const kept = array[i];
        array[i] = kept + STEP;
        const above = lossNow();
        array[i] = kept - STEP;
        const below = lossNow();
        array[i] = kept;
        expect(Math.abs((above - below) / (2 * STEP) - gradient[i]), `${name}[${i}]`).toBeLessThan(1e-8);
      }
    };
    expect(gradients.parameters.size).toBe(2 * specs.length);
    for (const [name, gradient] of gradients.parameters) check(parameters.get(name)!, gradient, name);
    check(x, gradients.input, 'input');
  },
);
