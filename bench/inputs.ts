/** Inputs of cases that are only timed: numbers that no kernel can skip, and a data set of one batch. */
import { createDataset, type ImageDataset } from '../src/data/dataset.ts';
import type { Matrix } from '../src/gpu/arena.ts';
import type { Gpu } from '../src/gpu/device.ts';

/** Fills a matrix with numbers in -0.5..0.5, none of them denormal and few zero. Padding is set to zero. */
export function filled(gpu: Gpu, matrix: Matrix): Matrix {
  const { rows, columns, stride } = matrix;
  gpu.write(
    matrix,
    Float32Array.from({ length: rows * stride }, (_, i) => (i % stride < columns ? ((i * 37) % 101) / 101 - 0.5 : 0)),
  );
  return matrix;
}

/** A data set with as many images as a batch, so that an epoch is one step and one read-back. */
export function oneBatch(
  size: { width: number; height: number },
  batch: number,
  classes: number,
): Promise<ImageDataset> {
  const { width, height } = size;
  const images = Uint8Array.from({ length: batch * width * height }, (_, i) => (i * 7919) % 251);
  const labels = Uint32Array.from({ length: batch }, (_, i) => i % classes);
  const classNames = Array.from({ length: classes }, (_, i) => `class ${i}`);
  const ids = Array.from(labels, (label, i) => `${label}/${i}`);
  return createDataset({ name: 'bench', width, height, classNames, images, labels, ids });
}
