import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import {
  type Activation,
  type ElementwiseFunction,
  recordActivationBackward,
  recordActivationForward,
} from '../../src/kernels/activation.ts';
import { activationBackward, activationForward } from '../../src/reference/activation.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { recordActivated } from '../support/activated.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';
import { SHAPES } from '../support/shapes.ts';

const device = useGpu();
const ACTIVATIONS: Activation[] = ['none', 'relu', 'relu6', 'tanh', 'sigmoid'];
const WITH_PARAMETERS: ElementwiseFunction[] = [
  { name: 'clip', low: -2.1, high: 3.3 },
  { name: 'clip', low: 0.5, high: 3.4028234663852886e38 },
  { name: 'leaky_relu', slope: 0.01 },
  { name: 'leaky_relu', slope: 0 },
  { name: 'leaky_relu', slope: 1 },
];
/** Wide and narrow rows. */
const FEW_SHAPES = SHAPES.filter(([rows]) => rows === 1 || rows === 5);

describe.each(ACTIVATIONS)('the activation %s', (activation) => {
  it('the forward pass agrees with its reference and keeps pads zero', async () => {
    await checkKernel(device.gpu, (bench) =>
      SHAPES.map(([rows, columns], i): Output => {
        const x = randomValues(rows * columns, i, 8);
        const output = bench.output(rows, columns);
        recordActivated(bench, activation, bench.matrix(rows, columns, x), output);
        return {
          name: `${activation} ${rows} x ${columns}`,
          view: output,
          expected: activationForward(activation, x),
          tolerance: TOLERANCES[activation],
        };
      }),
    );
  });

  it('the backward pass agrees with its reference and keeps pads zero', async () => {
    await checkKernel(device.gpu, (bench) =>
      SHAPES.map(([rows, columns], i): Output => {
        const y = Float32Array.from(activationForward(activation, randomValues(rows * columns, i, 4)));
        const gradient = randomValues(rows * columns, i + 100);
        const gradInput = bench.output(rows, columns);
        recordActivationBackward(bench.recorder, {
          activation,
          output: bench.matrix(rows, columns, y),
          gradOutput: bench.matrix(rows, columns, gradient),
          gradInput,
        });
        return {
          name: `${activation} backward ${rows} x ${columns}`,
          view: gradInput,
          expected: activationBackward(activation, y, gradient),
          tolerance: TOLERANCES.activationBackward,
        };
      }),
    );
  });

  it('the activation saturates at the ends of f32 without NaN', async () => {
    const x = Float32Array.of(-3e38, -1e4, -100, -88, -20, -0, 0, 1e-30, 20, 88, 100, 1e4, 3e38);
    await checkKernel(device.gpu, (bench) => {
      const output = bench.output(1, x.length);
      recordActivated(bench, activation, bench.matrix(1, x.length, x), output);
      const expected = activationForward(activation, x);
      return [{ name: activation, view: output, expected, tolerance: TOLERANCES[activation] }];
    });
  });
});

describe.each<ElementwiseFunction>([...ACTIVATIONS, ...WITH_PARAMETERS])(
  'the layer of the activation %o',
  (activation) => {
    it('the forward kernel agrees with its reference, also at the bounds, and writes zeros to pads', async () => {
      await checkKernel(device.gpu, (bench) =>
        FEW_SHAPES.map(([rows, columns], i): Output => {
          const x = randomValues(rows * columns, i, 8).map((value, j) => (j % 5 ? value : Math.round(value)));
          const output = bench.arena.matrix('output', rows, columns);
          bench.gpu.write(output, new Float32Array(rows * output.stride).fill(99));
          recordActivationForward(bench.recorder, { activation, input: bench.matrix(rows, columns, x), output });
          const expected = activationForward(activation, x);
          return { name: `${rows} x ${columns}`, view: output, expected, tolerance: TOLERANCES.sigmoid };
        }),
      );
    });

    it('the backward kernel agrees with its reference, also at the bounds', async () => {
      await checkKernel(device.gpu, (bench) =>
        FEW_SHAPES.map(([rows, columns], i): Output => {
          const y = Float32Array.from(activationForward(activation, randomValues(rows * columns, i, 8)));
          const gradient = randomValues(rows * columns, i + 100);
          const gradInput = bench.output(rows, columns);
          recordActivationBackward(bench.recorder, {
            activation,
            output: bench.matrix(rows, columns, y),
            gradOutput: bench.matrix(rows, columns, gradient),
            gradInput,
          });
          const expected = activationBackward(activation, y, gradient);
          return { name: `${rows} x ${columns}`, view: gradInput, expected, tolerance: TOLERANCES.activationBackward };
        }),
      );
    });

    it('the reference of the slope is the derivative of the reference of the function', () => {
      const x = randomValues(200, 3, 8);
      const slopes = activationBackward(activation, activationForward(activation, x), new Float64Array(200).fill(1));
      const moved = (by: number) =>
        activationForward(
          activation,
          Float64Array.from(x, (value) => value + by),
        );
      const [above, below] = [moved(1e-5), moved(-1e-5)];
      for (const [i, slope] of slopes.entries()) expect((above[i] - below[i]) / 2e-5).toBeCloseTo(slope, 7);
    });
  },
);

it('the slopes of relu6, clip and leaky_relu at their bounds are those of PyTorch', () => {
  const slopes = (activation: ElementwiseFunction, y: number[]) => [
    ...activationBackward(activation, y, new Float64Array(y.length).fill(1)),
  ];
  expect(slopes('relu6', [0, 1e-6, 3, 5.9999, 6])).toEqual([0, 1, 1, 1, 0]);
  expect(slopes({ name: 'clip', low: -1, high: 2 }, [-1, 0, 1.9, 2])).toEqual([0, 1, 1, 0]);
  expect(slopes({ name: 'leaky_relu', slope: 0.25 }, [-3, 0, 1])).toEqual([0.25, 0.25, 1]);
});

it('an activation refuses bounds in the wrong order and slopes out of range', () => {
  const bench = new Bench(device.gpu);
  const [input, output] = [bench.output(2, 3), bench.output(2, 3)];
  const record = (activation: ElementwiseFunction) => () =>
    recordActivationForward(bench.recorder, { activation, input, output });
  expect(record({ name: 'clip', low: 1, high: 1 })).toThrow(/clip to 1..1; the lower bound must be below the upper/);
  expect(record({ name: 'leaky_relu', slope: -0.1 })).toThrow(ShapeError);
  expect(record({ name: 'leaky_relu', slope: Number.NaN })).toThrow(/slope NaN; give one in 0..1/);
  bench.arena.destroy();
});

it('an error names both shapes when they disagree', () => {
  const bench = new Bench(device.gpu);
  const [output, gradOutput, gradInput] = [bench.output(2, 40), bench.output(3, 40), bench.output(2, 40)];
  const args = { activation: 'relu', output, gradOutput, gradInput } as const;
  expect(() => recordActivationBackward(bench.recorder, args)).toThrow(ShapeError);
  expect(() => recordActivationBackward(bench.recorder, args)).toThrow(/activation_backward.*3 x 40.*2 x 40/);
  bench.arena.destroy();
});
