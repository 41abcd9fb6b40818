/**
 * Float64 reference of a network's description, forward: plain loops over values in PyTorch's order (image, channel, row,
 * column). Parameters are named `<layer>.weight` and so on, in PyTorch's shapes. Dropout is the identity.
 */
import { edgesOf, pairOf, type Windows, windowedSize } from '../../src/kernels/geometry.ts';
import type { LayerDescription, NetworkDescription } from '../../src/models/network_description.ts';

/** The result of a layer for a batch. */
export interface Result {
  /** Without the batch: [channels, height, width] or [features]. */
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

type OfKind<K extends LayerDescription['kind']> = Extract<LayerDescription, { kind: K }>;
type Parameter = (part: string) => ArrayLike<number>;

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
const imageOf = ({ shape }: Result) => {
  const [channels, height = 1, width = 1] = shape;
  return { channels, height, width };
};

/**
 * The results of all layers by name; `input` is the normalised image.
 * @param tensors parameters by name
 * @param pixels images in PyTorch's order, in 0..1 before mean and deviation
 */
export function networkForward(
  { input, layers }: NetworkDescription,
  tensors: ReadonlyMap<string, { readonly data: ArrayLike<number | bigint> }>,
  pixels: ArrayLike<number>,
): Map<string, Result> {
  const { channels, height, width, mean = [0], deviation = [1] } = input;
  const batch = pixels.length / (channels * height * width);
  const ofChannel = (values: readonly number[], i: number) =>
    values[values.length === 1 ? 0 : Math.floor(i / (height * width)) % channels];
  const image = Float64Array.from(pixels, (pixel, i) => (pixel - ofChannel(mean, i)) / ofChannel(deviation, i));
  const results = new Map<string, Result>([['input', { shape: [channels, height, width], values: image }]]);
  let before = 'input';
  for (const layer of layers) {
    const reads = (layer.inputs ?? [before]).map((name) => {
      const result = results.get(name);
      if (!result) throw new Error(`${layer.name} reads ${name}, which no layer before it makes`);
      return result;
    });
    const parameter: Parameter = (part) => {
      const tensor = tensors.get(`${layer.name}.${part}`);
      if (!tensor) throw new Error(`${layer.name}.${part} is missing`);
      return tensor.data as ArrayLike<number>;
    };
    results.set(layer.name, forward(layer, reads, batch, parameter));
    before = layer.name;
  }
  return results;
}

function forward(layer: LayerDescription, reads: readonly Result[], batch: number, parameter: Parameter): Result {
  const [x] = reads;
  const map = (compute: (value: number) => number): Result => ({ shape: x.shape, values: x.values.map(compute) });
  switch (layer.kind) {
    case 'conv2d':
      return conv2d(layer, x, batch, parameter);
    case 'conv_transpose2d':
      return convTranspose2d(layer, x, batch, parameter);
    case 'dense':
      return dense(layer, x, batch, parameter);
    case 'batch_norm':
      return batchNorm(layer, x, parameter);
    case 'relu':
      return map((value) => Math.max(value, 0));
    case 'relu6':
      return map((value) => Math.min(Math.max(value, 0), 6));
    case 'clip':
      return map((value) => Math.min(Math.max(value, layer.low), layer.high));
    case 'leaky_relu':
      return map((value) => (value < 0 ? value * (layer.slope ?? 0.01) : value));
    case 'tanh':
      return map(Math.tanh);
    case 'sigmoid':
      return map((value) => 1 / (1 + Math.exp(-value)));
    case 'softmax':
      return softmax(x, batch, false);
    case 'log_softmax':
      return softmax(x, batch, true);
    case 'max_pool':
    case 'avg_pool':
      return pool(layer, x, batch);
    case 'global_avg_pool': {
      const { channels, height, width } = imageOf(x);
      const body = { kind: 'avg_pool', name: layer.name, kernelSize: [height, width] } as const;
      return { shape: [channels, 1, 1], values: pool(body as unknown as OfKind<'avg_pool'>, x, batch).values };
    }
    case 'add':
      return { shape: x.shape, values: x.values.map((_, i) => reads.reduce((sum, { values }) => sum + values[i], 0)) };
    case 'concat':
      return concat(reads, batch);
    case 'pad':
      return pad(layer, x, batch);
    case 'flatten':
      return { shape: [sizeOf(x.shape)], values: x.values };
    case 'reshape':
      return { shape: layer.shape, values: x.values };
    case 'dropout':
      return x;
  }
}

function windowsOf(layer: OfKind<'conv2d' | 'max_pool' | 'avg_pool'>): Windows {
  const { kernelSize, padding = 0 } = layer;
  if (layer.kind === 'conv2d') {
    return { kernelSize, stride: layer.stride ?? 1, padding, dilation: layer.dilation ?? 1 };
  }
  return { kernelSize, stride: layer.stride ?? kernelSize, padding, ceilMode: layer.ceilMode };
}

function conv2d(layer: OfKind<'conv2d'>, x: Result, batch: number, parameter: Parameter): Result {
  const image = imageOf(x);
  const windows = windowsOf(layer);
  const out = windowedSize(layer.name, image, windows);
  const [[kh, kw], [sy, sx], [dy, dx]] = [
    pairOf(windows.kernelSize),
    pairOf(windows.stride),
    pairOf(windows.dilation!),
  ];
  const { top, left } = edgesOf(windows.padding);
  const { groups = 1, channels } = layer;
  const [inGroup, outGroup] = [image.channels / groups, channels / groups];
  const weight = parameter('weight');
  const bias = layer.bias === false ? undefined : parameter('bias');
  const values = new Float64Array(batch * channels * out.height * out.width);
  let at = 0;
  for (let n = 0; n < batch; n++) {
    for (let oc = 0; oc < channels; oc++) {
      const first = Math.floor(oc / outGroup) * inGroup;
      for (let oy = 0; oy < out.height; oy++) {
        for (let ox = 0; ox < out.width; ox++) {
          let sum = bias ? bias[oc] : 0;
          for (let ic = 0; ic < inGroup; ic++) {
            for (let ky = 0; ky < kh; ky++) {
              const y = oy * sy + ky * dy - top;
              if (y < 0 || y >= image.height) continue;
              for (let kx = 0; kx < kw; kx++) {
                const column = ox * sx + kx * dx - left;
                if (column < 0 || column >= image.width) continue;
                const from = ((n * image.channels + first + ic) * image.height + y) * image.width + column;
                sum += x.values[from] * weight[((oc * inGroup + ic) * kh + ky) * kw + kx];
              }
            }
          }
          values[at++] = sum;
        }
      }
    }
  }
  return { shape: [channels, out.height, out.width], values };
}

/** Every input pixel adds its kernel to the result, which is cut by the padding. */
function convTranspose2d(layer: OfKind<'conv_transpose2d'>, x: Result, batch: number, parameter: Parameter): Result {
  const image = imageOf(x);
  const { groups = 1, channels } = layer;
  const [kh, kw] = pairOf(layer.kernelSize);
  const [sy, sx] = pairOf(layer.stride ?? 1);
  const [dy, dx] = pairOf(layer.dilation ?? 1);
  const [addY, addX] = pairOf(layer.outputPadding ?? 0);
  const { top, left, bottom, right } = edgesOf(layer.padding ?? 0);
  const height = sy * (image.height - 1) + dy * (kh - 1) + 1 + addY - top - bottom;
  const width = sx * (image.width - 1) + dx * (kw - 1) + 1 + addX - left - right;
  const [inGroup, outGroup] = [image.channels / groups, channels / groups];
  const weight = parameter('weight');
  const bias = layer.bias === false ? undefined : parameter('bias');
  const values = new Float64Array(batch * channels * height * width);
  if (bias) for (let i = 0; i < values.length; i++) values[i] = bias[Math.floor(i / (height * width)) % channels];
  for (let n = 0; n < batch; n++) {
    for (let ic = 0; ic < image.channels; ic++) {
      const group = Math.floor(ic / inGroup);
      for (let iy = 0; iy < image.height; iy++) {
        for (let ix = 0; ix < image.width; ix++) {
          const value = x.values[((n * image.channels + ic) * image.height + iy) * image.width + ix];
          for (let oc = 0; oc < outGroup; oc++) {
            for (let ky = 0; ky < kh; ky++) {
              const y = iy * sy + ky * dy - top;
              if (y < 0 || y >= height) continue;
              for (let kx = 0; kx < kw; kx++) {
                const column = ix * sx + kx * dx - left;
                if (column < 0 || column >= width) continue;
                const to = ((n * channels + group * outGroup + oc) * height + y) * width + column;
                values[to] += value * weight[((ic * outGroup + oc) * kh + ky) * kw + kx];
              }
            }
          }
        }
      }
    }
  }
  return { shape: [channels, height, width], values };
}

function dense(layer: OfKind<'dense'>, x: Result, batch: number, parameter: Parameter): Result {
  const inputs = sizeOf(x.shape);
  const weight = parameter('weight');
  const bias = layer.bias === false ? undefined : parameter('bias');
  const values = new Float64Array(batch * layer.outputs);
  for (let i = 0; i < values.length; i++) {
    const [n, row] = [Math.floor(i / layer.outputs), i % layer.outputs];
    let sum = bias ? bias[row] : 0;
    for (let k = 0; k < inputs; k++) sum += x.values[n * inputs + k] * weight[row * inputs + k];
    values[i] = sum;
  }
  return { shape: [layer.outputs], values };
}

function batchNorm(layer: OfKind<'batch_norm'>, x: Result, parameter: Parameter): Result {
  const { channels, height, width } = imageOf(x);
  const [weight, bias, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map(parameter);
  const values = x.values.map((value, i) => {
    const c = Math.floor(i / (height * width)) % channels;
    return ((value - mean[c]) / Math.sqrt(variance[c] + (layer.epsilon ?? 1e-5))) * weight[c] + bias[c];
  });
  return { shape: x.shape, values };
}

function softmax(x: Result, batch: number, isLog: boolean): Result {
  const size = sizeOf(x.shape);
  const values = new Float64Array(x.values.length);
  for (let n = 0; n < batch; n++) {
    const row = x.values.subarray(n * size, (n + 1) * size);
    const most = row.reduce((a, b) => Math.max(a, b));
    const sum = row.reduce((total, value) => total + Math.exp(value - most), 0);
    row.forEach((value, i) => {
      values[n * size + i] = isLog ? value - most - Math.log(sum) : Math.exp(value - most) / sum;
    });
  }
  return { shape: x.shape, values };
}

/** A mean counts the padding by default, but not what a last window has beyond it (as in PyTorch). */
function pool(layer: OfKind<'max_pool' | 'avg_pool'>, x: Result, batch: number): Result {
  const { channels, height, width } = imageOf(x);
  const windows = windowsOf(layer);
  const out = windowedSize(layer.name, { height, width }, windows);
  const [[kh, kw], [sy, sx]] = [pairOf(windows.kernelSize), pairOf(windows.stride)];
  const { top, left, bottom, right } = edgesOf(windows.padding);
  const values = new Float64Array(batch * channels * out.height * out.width);
  let at = 0;
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let oy = 0; oy < out.height; oy++) {
      for (let ox = 0; ox < out.width; ox++) {
        const [y0, x0] = [oy * sy - top, ox * sx - left];
        let most = Number.NEGATIVE_INFINITY;
        let sum = 0;
        let count = 0;
        for (let y = Math.max(0, y0); y < Math.min(height, y0 + kh); y++) {
          for (let column = Math.max(0, x0); column < Math.min(width, x0 + kw); column++) {
            const value = x.values[(plane * height + y) * width + column];
            most = Math.max(most, value);
            sum += value;
            count++;
          }
        }
        if (layer.kind === 'avg_pool' && layer.countIncludePad !== false) {
          count = (Math.min(y0 + kh, height + bottom) - y0) * (Math.min(x0 + kw, width + right) - x0);
        }
        values[at++] = layer.kind === 'max_pool' ? most : sum / count;
      }
    }
  }
  return { shape: [channels, out.height, out.width], values };
}

function concat(reads: readonly Result[], batch: number): Result {
  const sizes = reads.map(({ shape }) => sizeOf(shape));
  const values = new Float64Array(batch * sizes.reduce((a, b) => a + b));
  let at = 0;
  for (let n = 0; n < batch; n++) {
    for (const [i, read] of reads.entries()) {
      values.set(read.values.subarray(n * sizes[i], (n + 1) * sizes[i]), at);
      at += sizes[i];
    }
  }
  const [{ shape }] = reads;
  return { shape: [reads.reduce((sum, read) => sum + read.shape[0], 0), ...shape.slice(1)], values };
}

function pad(layer: OfKind<'pad'>, x: Result, batch: number): Result {
  const { channels, height, width } = imageOf(x);
  const { top, left, bottom, right } = edgesOf(layer.padding ?? 0);
  const [outHeight, outWidth] = [height + top + bottom, width + left + right];
  const values = new Float64Array(batch * channels * outHeight * outWidth).fill(layer.value ?? 0);
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let y = 0; y < height; y++) {
      const row = x.values.subarray((plane * height + y) * width, (plane * height + y + 1) * width);
      values.set(row, (plane * outHeight + y + top) * outWidth + left);
    }
  }
  return { shape: [channels, outHeight, outWidth], values };
}
