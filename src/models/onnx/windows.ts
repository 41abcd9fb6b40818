/** Sizes of windows of convolutions and pooling layers from the attributes of nodes. */

import { ShapeError } from '../../errors.ts';
import { type Padding, type Pair, windowedSize } from '../../kernels/geometry.ts';
import type { NodeReader } from './node_reader.ts';

export interface NodeWindows {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  /** Top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
  readonly ceilMode: boolean;
}

const isPair = (values: readonly number[]): values is readonly [number, number] => values.length === 2;

/** An attribute with one number for each of two axes. */
export function pairAttribute(node: NodeReader, name: string, otherwise: readonly [number, number]) {
  const values = node.ints(name) ?? otherwise;
  if (!isPair(values)) return node.unsupported(`over ${values.length} axes`, 'images have two axes, height and width');
  return values;
}

/** The windows of a node over an image. @param kernel their size if weights tell it */
export function windowsOf(
  node: NodeReader,
  image: { readonly height: number; readonly width: number },
  kernel: readonly [number, number] = pairAttribute(node, 'kernel_shape', [0, 0]),
): NodeWindows {
  const stated = pairAttribute(node, 'kernel_shape', kernel);
  if (stated[0] !== kernel[0] || stated[1] !== kernel[1]) {
    node.wrong(`its windows are [${stated}], its weights have [${kernel}]; export it again`);
  }
  const stride = pairAttribute(node, 'strides', [1, 1]);
  const dilation = pairAttribute(node, 'dilations', [1, 1]);
  const ceilMode = node.int('ceil_mode') === 1;
  for (const size of [...kernel, ...stride, ...dilation]) {
    if (size < 1) node.wrong(`a window, stride or dilation is ${size}; export it again`);
  }
  const pads = padsOf(node, image, kernel, stride, dilation);
  return { kernel, stride, dilation, pads, ceilMode };
}

function padsOf(
  node: NodeReader,
  { height, width }: { readonly height: number; readonly width: number },
  kernel: readonly [number, number],
  stride: readonly [number, number],
  dilation: readonly [number, number],
): [number, number, number, number] {
  const automatic = node.text('auto_pad') ?? 'NOTSET';
  if (automatic === 'NOTSET' || automatic === '') return explicitPads(node);
  if (automatic === 'VALID') return [0, 0, 0, 0];
  if (automatic !== 'SAME_UPPER' && automatic !== 'SAME_LOWER') {
    return node.wrong('its auto_pad is none that ONNX knows; export it again');
  }
  const [vertical, horizontal] = [height, width].map((size, axis) => {
    const count = Math.ceil(size / stride[axis]);
    const covered = (count - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1;
    return halves(Math.max(0, covered - size), automatic === 'SAME_UPPER');
  });
  return [vertical[0], horizontal[0], vertical[1], horizontal[1]];
}

/** Two nearly equal parts; the larger one last, or first. */
export function halves(total: number, largerLast: boolean): [number, number] {
  const [small, large] = [Math.floor(total / 2), Math.ceil(total / 2)];
  return largerLast ? [small, large] : [large, small];
}

/** The attribute `pads`: top, left, bottom, right. */
export function explicitPads(node: NodeReader): [number, number, number, number] {
  const pads = node.ints('pads') ?? [0, 0, 0, 0];
  if (pads.length !== 4)
    return node.unsupported(`over ${pads.length / 2} axes`, 'images have two axes, height and width');
  if (pads.some((pad) => pad < 0)) return node.unsupported('with negative padding', 'cut the image before it is given');
  return [pads[0], pads[1], pads[2], pads[3]];
}

/** One number if both are equal. */
export const shortPair = ([vertical, horizontal]: readonly [number, number]): number | [number, number] =>
  vertical === horizontal ? vertical : [vertical, horizontal];

/** One number if all are equal, two if opposite edges are. */
export function shortPadding([top, left, bottom, right]: NodeWindows['pads']) {
  if (top !== bottom || left !== right) return [top, left, bottom, right] as [number, number, number, number];
  return shortPair([top, left]);
}

/** The properties of a description that differ from its defaults. */
export function describeWindows(
  { kernel, stride, dilation, pads }: NodeWindows,
  defaultStride: readonly [number, number],
) {
  const isDefault = stride[0] === defaultStride[0] && stride[1] === defaultStride[1];
  return {
    kernelSize: shortPair(kernel),
    ...(isDefault ? {} : { stride: shortPair(stride) }),
    ...(pads.some((pad) => pad !== 0) ? { padding: shortPadding(pads) } : {}),
    ...(dilation.some((distance) => distance !== 1) ? { dilation: shortPair(dilation) } : {}),
  };
}

/** Sizes of the result of windows over an image. @throws DataError naming the node if none fits */
export function slideWindows(
  node: NodeReader,
  image: { readonly height: number; readonly width: number },
  { kernel, stride, dilation, pads, ceilMode }: NodeWindows,
): { height: number; width: number } {
  const windows: { kernelSize: Pair; stride: Pair; padding: Padding; dilation: Pair; ceilMode: boolean } = {
    kernelSize: kernel,
    stride,
    padding: pads,
    dilation,
    ceilMode,
  };
  try {
    return windowedSize(node.operator, image, windows);
  } catch (error) {
    if (error instanceof ShapeError) return node.wrong(error.message);
    throw error;
  }
}
