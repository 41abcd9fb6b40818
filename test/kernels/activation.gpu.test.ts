import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { type Activation, recordActivationBackward } from '../../src/kernels/activation.ts';
import { activationBackward, activationForward } from '../../src/reference/activation.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { recordActivated } from '../support/activated.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';
import { SHAPES } from '../support/shapes.ts';

const device = useGpu();
const ACTIVATIONS: Activation[] = ['none', 'relu', 'tanh', 'sigmoid'];

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

it('an error names both shapes when they disagree', () => {
  const bench = new Bench(device.gpu);
  const [output, gradOutput, gradInput] = [bench.output(2, 40), bench.output(3, 40), bench.output(2, 40)];
  const args = { activation: 'relu', output, gradOutput, gradInput } as const;
  expect(() => recordActivationBackward(bench.recorder, args)).toThrow(ShapeError);
  expect(() => recordActivationBackward(bench.recorder, args)).toThrow(/activation_backward.*3 x 40.*2 x 40/);
  bench.arena.destroy();
});
