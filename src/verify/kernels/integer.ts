/** Checks of shaders/gemm/gemm_int8.wgsl: integers, so the outputs are equal, pads included. */
import type { ByteMatrix } from '../../kernels/gemm_int8.ts';
import { recordIntegerProduct } from '../../kernels/gemm_int8.ts';
import { integerSums, rescaled } from '../../reference/integer_product.ts';
import { type Check, numbers, pad, type Trial } from './trial.ts';

const [IMAGES, INPUTS, OUTPUTS] = [6, 37, 19];
/** Large enough to overflow the range of bytes now and then. */
const RESCALING = { multiplier: 40_001, shift: 10, relu: false };

const randomBytes = (count: number, seed: number) => Int8Array.from(numbers(count, seed, 128), Math.floor);

function byteMatrix(trial: Trial, rows: number, columns: number, values: Int8Array, pads = 0): ByteMatrix {
  const stride = Math.ceil(columns / 16) * 16;
  const all = new Uint8Array(rows * stride).fill(pads);
  for (let row = 0; row < rows; row++)
    all.set(new Uint8Array(values.slice(row * columns, (row + 1) * columns).buffer), row * stride);
  return { ...trial.buffer(all), rows, columns, stride };
}

function check(kernel: string, rescaling?: typeof RESCALING): Check {
  return {
    kernel,
    record(trial) {
      const [x, w, b] = [randomBytes(IMAGES * INPUTS, 1), randomBytes(OUTPUTS * INPUTS, 2), randomBytes(OUTPUTS, 3)];
      const bias = 70_001;
      const stride = 32;
      const y = trial.results(IMAGES * (rescaling ? stride / 4 : stride));
      recordIntegerProduct(trial.recorder, {
        label: kernel,
        x: byteMatrix(trial, IMAGES, INPUTS, x),
        // Errors may flip bits in the pads of weights, too.
        w: byteMatrix(trial, OUTPUTS, INPUTS, w, 0x81),
        b: byteMatrix(trial, 1, OUTPUTS, b, 0x81),
        bias,
        y: { ...y, rows: IMAGES, columns: OUTPUTS, stride },
        rescaling,
      });
      const sums = integerSums(x, w, b, bias);
      const values = pad(rescaling ? rescaled(sums, rescaling) : sums, IMAGES, OUTPUTS, stride, Float64Array);
      const words = rescaling
        ? new Uint32Array(Int8Array.from(values).buffer)
        : new Uint32Array(Int32Array.from(values).buffer);
      trial.expectWords(y, words);
    },
  };
}

export const INTEGERS: readonly Check[] = [
  check('gemm_int8 sums'),
  check('gemm_int8 bytes', RESCALING),
  check('gemm_int8 bytes, relu', { ...RESCALING, relu: true }),
];
