/** Pooling layers and means over pixels from nodes of ONNX. */
import type { NetworkBuilder } from './builder.ts';
import { axisOf } from './movement.ts';
import type { NodeReader } from './node_reader.ts';
import { type Activation, productOf, sameShape } from './values.ts';
import { describeWindows, type NodeWindows, shortPair, slideWindows, windowsOf } from './windows.ts';

const CEIL = { ceilMode: true };

function pooled(kind: 'max_pool' | 'avg_pool', node: NodeReader, builder: NetworkBuilder): Activation {
  const image = builder.image(node.activation(0), node);
  const windows = withoutUnusedPads(windowsOf(node, image), image);
  if (windows.dilation.some((distance) => distance !== 1)) node.unsupported('with dilation', 'use a dilation of 1');
  const [top, left, bottom, right] = windows.pads;
  if (Math.max(top, bottom) >= windows.kernel[0] || Math.max(left, right) >= windows.kernel[1]) {
    node.wrong(`its padding [${windows.pads}] is as large as its windows [${windows.kernel}]; export it again`);
  }
  const { height, width } = slideWindows(node, image, windows);
  const described = { ...describeWindows(windows, windows.kernel), ...(windows.ceilMode ? CEIL : {}) };
  // ONNX leaves padding out of a mean by default, PyTorch counts it.
  const isExclusive =
    kind === 'avg_pool' && windows.pads.some((pad) => pad !== 0) && node.int('count_include_pad') !== 1;
  const body = { kind, ...described, ...(isExclusive ? { countIncludePad: false } : {}) };
  return builder.addPlain(node.node, body, [image.layer], [image.channels, height, width]);
}

/** Padding at the end that no window reaches is left out: before opset 10, exporters wrote the ceil mode by it. */
function withoutUnusedPads(windows: NodeWindows, image: { height: number; width: number }): NodeWindows {
  const { kernel, stride, pads, ceilMode } = windows;
  if (ceilMode) return windows;
  const [bottom, right] = [image.height, image.width].map((size, axis) => {
    const count = Math.floor((size + pads[axis] + pads[axis + 2] - kernel[axis]) / stride[axis]);
    return Math.min(pads[axis + 2], Math.max(0, count * stride[axis] + kernel[axis] - size - pads[axis]));
  });
  return { ...windows, pads: [pads[0], pads[1], bottom, right] };
}

export function maxPool(node: NodeReader, builder: NetworkBuilder): Activation {
  if (node.int('storage_order') === 1) node.unsupported('in order of columns', 'use storage_order 0');
  return pooled('max_pool', node, builder);
}

export function averagePool(node: NodeReader, builder: NetworkBuilder): Activation {
  return pooled('avg_pool', node, builder);
}

export function globalAveragePool(node: NodeReader, builder: NetworkBuilder): Activation {
  const { layer, channels } = builder.image(node.activation(0), node);
  return builder.addPlain(node.node, { kind: 'global_avg_pool' }, [layer], [channels, 1, 1]);
}

export function globalMaxPool(node: NodeReader, builder: NetworkBuilder): Activation {
  const { layer, channels, height, width } = builder.image(node.activation(0), node);
  const body = { kind: 'max_pool' as const, kernelSize: shortPair([height, width]) };
  return builder.addPlain(node.node, body, [layer], [channels, 1, 1]);
}

/** ReduceMean, ReduceSum and ReduceMax over height, width or both. A sum is a multiple of the mean. */
export const reduced =
  (kind: 'mean' | 'sum' | 'max') =>
  (node: NodeReader, builder: NetworkBuilder): Activation => {
    const value = node.activation(0);
    const { shape, view, order } = value;
    const axes = reducedAxes(node, view);
    const keeps = (node.int('keepdims') ?? 1) !== 0;
    const left = keeps
      ? view.map((size, axis) => (axes.includes(axis) ? 1 : size))
      : view.filter((_, axis) => !axes.includes(axis));
    const pixels = shape.slice(1);
    // [channels, height x width] is an image, too.
    const isFlat = !order && view.length === 2 && view[0] === shape[0] && view[1] === productOf(pixels);
    const isImage = shape.length === 3 && (order ? view.length === 3 : sameShape(shape, view));
    if (!isImage && !(isFlat && shape.length === 3)) {
      return node.unsupported(`of values of shape [batch,${view}]`, 'take means over the pixels of images');
    }
    const taken =
      isFlat && axes.length === 1 && axes[0] === 1 ? [1, 2] : axes.map((axis) => (order ? order[axis] : axis));
    const [height, width] = [1, 2].map((axis) => taken.includes(axis));
    if (taken.includes(0) || !(height || width) || (isFlat && !(height && width))) {
      return node.unsupported(`over axes ${axes.map((axis) => axis + 1)}`, 'take means over height and width');
    }
    const kernel = [height ? shape[1] : 1, width ? shape[2] : 1] as const;
    const layer = builder.read(value, node);
    const result = [shape[0], shape[1] / kernel[0], shape[2] / kernel[1]];
    const body =
      height && width && kind !== 'max'
        ? { kind: 'global_avg_pool' as const }
        : { kind: kind === 'max' ? ('max_pool' as const) : ('avg_pool' as const), kernelSize: shortPair(kernel) };
    const added = builder.addPlain(node.node, body, [layer], result);
    const isOnePixel = result[1] === 1 && result[2] === 1;
    return {
      ...added,
      view: left,
      order: isOnePixel || !order ? undefined : keeps ? order : undefined,
      viewedBy: node.node,
      ...(kind === 'sum' ? { affine: { scale: [productOf(kernel)], shift: [0] }, scaledBy: node.node } : {}),
    };
  };

/** The axes of a view that a node reduces: axis 0 of the node is the batch. */
function reducedAxes(node: NodeReader, view: readonly number[]): number[] {
  const stated = node.axes(1);
  const rank = view.length + 1;
  if (node.input(1) && !stated) node.unsupported('over axes that are computed', 'use fixed axes');
  const axes = (stated ?? []).map((axis) => axisOf(axis, rank));
  if (axes.length === 0 || axes.some((axis) => !axis)) {
    return node.unsupported('over the images of a batch', 'take means over height and width');
  }
  return axes.map((axis) => axis! - 1);
}
