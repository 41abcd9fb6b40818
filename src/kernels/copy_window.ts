import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** A copy of channels between batches of images of different sizes. */
export interface WindowCopy {
  readonly batch: number;
  /** Size of an image of the input, pixels. */
  readonly from: { readonly height: number; readonly width: number };
  /** Size of an image of the output, pixels. */
  readonly to: { readonly height: number; readonly width: number };
  /** Row and column of the input that are copied to the first pixel of the output; they may be negative. Default 0. */
  readonly top?: number;
  readonly left?: number;
  /** First channel that is read. Default 0. */
  readonly fromChannel?: number;
  /** First channel that is written. Default 0. */
  readonly toChannel?: number;
  /** Number of channels that are copied. */
  readonly channels: number;
  /** Value of pixels of the output that lie outside the input. Default 0. */
  readonly fill?: number;
}

/** The bits of a number as an f32. */
const bitsOf = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0];

/**
 * output[n, y, x, toChannel + c] = input[n, y + top, x + left, fromChannel + c], or `fill` outside the input, for every pixel
 * of the output and 0 <= c < channels. Other channels keep their values. Concatenation, its inverse, padding and cropping are
 * such copies.
 *
 * @param args.input [batch * from.height * from.width (NHWC), channels]
 * @param args.output [batch * to.height * to.width, channels], another buffer; its pads are written zero by a copy that ends
 * with the last channel
 * @throws ShapeError
 */
export function recordCopyWindow(recorder: Recorder, args: { copy: WindowCopy; input: Matrix; output: Matrix }): void {
  const { copy, input, output } = args;
  const kernel = 'copy_window';
  const { batch, from, to, top = 0, left = 0, fromChannel = 0, toChannel = 0, channels, fill = 0 } = copy;
  const source = shapeConstants(kernel, 'input', input);
  const target = shapeConstants(kernel, 'output', output);
  const require = (name: string, matrix: Matrix, size: { height: number; width: number }, firstChannel: number) => {
    const fits = firstChannel >= 0 && channels > 0 && firstChannel + channels <= matrix.columns;
    if (fits && matrix.rows === batch * size.height * size.width) return;
    throw new ShapeError(
      `${kernel}: ${name} is ${matrix.rows} x ${matrix.columns} but channels ${firstChannel} to ` +
        `${firstChannel + channels} of ${batch} images of ${size.height} x ${size.width} are copied`,
    );
  };
  require('input', input, from, fromChannel);
  require('output', output, to, toChannel);
  const isLast = toChannel + channels === output.columns;
  const span = isLast ? output.stride - toChannel : channels;
  const aligned = [fromChannel, toChannel, span].every((n) => n % 4 === 0);
  const { workgroups, constants } = flatGrid(output.rows * (aligned ? span / 4 : span));
  recorder.record({
    label: kernel,
    shader: {
      path: 'image/copy_window.wgsl',
      constants: {
        ...constants,
        ROWS: target.ROWS,
        STRIDE: target.STRIDE,
        X_STRIDE: source.STRIDE,
        X_HEIGHT: from.height,
        X_WIDTH: from.width,
        HEIGHT: to.height,
        WIDTH: to.width,
        TOP: top >>> 0,
        LEFT: left >>> 0,
        FROM_CHANNEL: fromChannel,
        TO_CHANNEL: toChannel,
        CHANNELS: channels,
        SPAN: span,
        FILL: bitsOf(fill),
      },
      includes: { element: aligned ? 'image/element_vec4.wgsl' : 'image/element_scalar.wgsl' },
    },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
  });
}
