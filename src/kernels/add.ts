import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { ACTIVATION_CODE, type Activation } from './activation.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/**
 * output = act(the sum of the inputs), added from the first to the last, with one dispatch per addition.
 *
 * @param args.inputs two or more matrices of one shape
 * @param args.output the same shape; another buffer, or that of the first input, to which the others are then added
 * @param args.activation default none
 * @throws ShapeError
 */
export function recordAdd(
  recorder: Recorder,
  args: { inputs: readonly Matrix[]; output: Matrix; activation?: Activation },
): void {
  const { inputs, output, activation = 'none' } = args;
  const kernel = 'add';
  const [first, ...others] = inputs;
  if (others.length === 0) throw new ShapeError(`${kernel}: ${inputs.length} inputs; at least two are needed`);
  const shape = shapeConstants(kernel, 'output', output);
  for (const [i, input] of inputs.entries()) requireSameShape(kernel, 'output', output, `input ${i}`, input);
  if (others.some(({ buffer }) => buffer === output.buffer)) {
    throw new ShapeError(`${kernel}: only the first input may share the buffer of the output`);
  }
  const { workgroups, constants } = flatGrid((output.rows * output.stride) / 4);
  for (const [i, other] of others.entries()) {
    const accumulate = i > 0 || first.buffer === output.buffer;
    const code = ACTIVATION_CODE[i === others.length - 1 ? activation : 'none'];
    recorder.record({
      label: kernel,
      shader: {
        path: 'activation/add.wgsl',
        constants: { ...shape, ...constants, ACCUMULATE: accumulate, ACTIVATION: code },
      },
      bindings: [
        ['read', accumulate ? other : first],
        ['read', other],
        ['write', output],
      ],
      workgroups,
      flops: output.rows * output.columns,
    });
  }
}
