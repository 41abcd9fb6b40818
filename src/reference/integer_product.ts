/** Products of bytes with sums of 32 bits, as shaders/gemm/gemm_int8.wgsl computes them: integers, so every bit is defined. */
import type { Rescaling } from '../kernels/gemm_int8.ts';

/**
 * sums[i][j] = sum over k of x[i][k] w[j][k] + floor((b[j] bias + 128) / 256), row-major.
 * @param x [rows, inputs] @param w [outputs, inputs] @param b [outputs]
 * @param bias 256 times the number of sums that one unit of `b` is worth, a whole number below 2^24
 */
export function integerSums(x: Int8Array, w: Int8Array, b: Int8Array, bias: number): Int32Array<ArrayBuffer> {
  const outputs = b.length;
  const inputs = w.length / outputs;
  const sums = new Int32Array((x.length / inputs) * outputs);
  for (let i = 0; i < sums.length; i++) {
    const [row, output] = [Math.floor(i / outputs) * inputs, i % outputs];
    let sum = Math.floor((b[output] * bias + 128) / 256);
    for (let k = 0; k < inputs; k++) sum += x[row + k] * w[output * inputs + k];
    sums[i] = sum;
  }
  return sums;
}

/** The bytes of sums: divided by 2^(16 + shift) / multiplier, rounded half up, within -128..127, or 0..127 after a ReLU. */
export function rescaled(sums: Int32Array, { multiplier, shift, relu }: Rescaling): Int8Array<ArrayBuffer> {
  return Int8Array.from(sums, (sum) => {
    const scaled = Math.floor((sum * multiplier) / 2 ** 16);
    const code = Math.floor((scaled + 2 ** (shift - 1)) / 2 ** shift);
    return Math.max(relu ? 0 : -128, Math.min(127, code));
  });
}
