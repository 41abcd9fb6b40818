/** The windows of pooling layers. */

import { edgesOf, type Padding, type Pair, pairOf, windowedSize } from '../kernels/geometry.ts';
import type { PoolShape } from '../kernels/pool.ts';
import type { ImageShape } from './layer.ts';

export interface PoolWindows {
  readonly kernelSize: Pair;
  /** Distance from one window to the next. Default: kernelSize. */
  readonly stride?: Pair;
  /** Pixels by which windows may extend beyond the edges, fewer than kernelSize. Default 0. */
  readonly padding?: Padding;
  /** True to count a last window that only partly fits. Default false. */
  readonly ceilMode?: boolean;
}

/** The windows over a batch of images. @param layer name, for messages @throws ShapeError */
export function poolShape(
  layer: string,
  batch: number,
  { height, width }: Pick<ImageShape, 'height' | 'width'>,
  { kernelSize, stride = kernelSize, padding = 0, ceilMode = false }: PoolWindows,
): PoolShape {
  const pooled = windowedSize(layer, { height, width }, { kernelSize, stride, padding, ceilMode });
  const { top, left, bottom, right } = edgesOf(padding);
  return {
    batch,
    height,
    width,
    outHeight: pooled.height,
    outWidth: pooled.width,
    kernelSize: pairOf(kernelSize),
    stride: pairOf(stride),
    padding: [top, left, bottom, right],
  };
}
