import { expect, it } from 'vitest';
import { costOf, intensityOf } from '../../bench/cost.ts';
import type { Dispatch } from '../../src/gpu/dispatch.ts';
import type { BufferView } from '../../src/gpu/guarded_device.ts';

/** A view of a new buffer. */
const view = (size: number): BufferView => ({ buffer: {} as GPUBuffer, offset: 0, size });

type Bindings = Dispatch['bindings'];

it('the cost counts every input and every output once, and no uniforms', () => {
  const [a, b, c] = [view(400), view(300), view(200)];
  const bindings: Bindings = [
    ['read', a],
    ['read', b],
    ['write', c],
    ['uniform', view(64)],
  ];
  expect(costOf([{ bindings, flops: 1800 }])).toEqual({ flops: 1800, bytes: 900 });
  expect(intensityOf(costOf([{ bindings, flops: 1800 }]))).toBe(2);
});

it('the cost counts a view that is bound twice once, with the size of its larger binding', () => {
  const weights = view(100);
  const withZeroRow = { ...weights, size: 116 };
  const bindings: Bindings = [
    ['read', weights],
    ['read', withZeroRow],
    ['write', view(50)],
  ];
  expect(costOf([{ bindings }]).bytes).toBe(166);
});

it('the cost distinguishes parts of one buffer', () => {
  const { buffer } = view(0);
  const bindings: Bindings = [
    ['read', { buffer, offset: 0, size: 256 }],
    ['read', { buffer, offset: 256, size: 128 }],
    ['write', view(16)],
  ];
  expect(costOf([{ bindings }]).bytes).toBe(400);
});

it('the cost omits data that one dispatch writes for a later one, and counts an input of both once', () => {
  const [x, partial, y] = [view(1000), view(80), view(1000)];
  const dispatches: { bindings: Bindings; flops?: number }[] = [
    {
      bindings: [
        ['read', x],
        ['write', partial],
      ],
      flops: 500,
    },
    {
      bindings: [
        ['read', x],
        ['read', partial],
        ['write', y],
      ],
    },
  ];
  expect(costOf(dispatches)).toEqual({ flops: 500, bytes: 2000 });
});

it('the cost counts data updated in place twice, as read and as written', () => {
  const [gradients, parameters, velocity] = [view(40), view(40), view(40)];
  const bindings: Bindings = [
    ['read', gradients],
    ['write', parameters],
    ['write', velocity],
  ];
  expect(costOf([{ bindings, flops: 60 }], [parameters, velocity])).toEqual({ flops: 60, bytes: 200 });
});
