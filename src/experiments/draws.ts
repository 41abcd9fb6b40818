/** Decides how many draws of a memory are measured together: as many as GPU memory and the length of a submit allow. */
import { ROW_ALIGNMENT, roundUp } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { BUSY_TILES } from '../kernels/tiles.ts';

/** The resources for all draws, or those that one draw needs. */
export interface DrawBudget {
  /** Bytes of the largest buffer. */
  readonly bufferBytes: number;
  /** Bytes of all buffers together. */
  readonly bytes: number;
  /** Floating-point operations of products in the longest submit; a multiply-add counts as two. */
  readonly submitFlops: number;
}

/** WebGPU does not report the size of memory. Every adapter is assumed to have these bytes in addition to the model. */
const MOST_BYTES = 2 ** 29;

/**
 * Operations in about a tenth of a second at 5 GFLOP/s (software) and 80 GFLOP/s (hardware): drivers kill a submit after two
 * seconds, and an attack queues eight of them.
 */
const SUBMIT_FLOPS = { software: 2 ** 29, hardware: 2 ** 33 };

/** Largest size of the partial sums of a product whose K is split: as many tiles of 16 x 16 as keep an adapter busy. */
const PARTIAL_SUM_BYTES = BUSY_TILES.hardware * 16 * 16 * 4;

/** The budget of an adapter. All buffers together may be as large as its largest buffer, but no larger than MOST_BYTES. */
export function drawBudget({ device, adapter }: Gpu): DrawBudget {
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
  const bufferBytes = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  return {
    bufferBytes,
    bytes: Math.min(bufferBytes, MOST_BYTES),
    submitFlops: SUBMIT_FLOPS[adapter.software ? 'software' : 'hardware'],
  };
}

/**
 * The memory and work that one draw of a linear victim needs for its evaluation and the attacks.
 * @param pixels of an image
 * @param classes of the victim
 * @param evaluated images in a batch of the evaluation
 * @param attacked number of attacked classes
 * @param imagesPerDraw number of images per draw and attacked class that each attack keeps
 */
export function linearDrawCost(
  pixels: number,
  classes: number,
  evaluated: number,
  attacked: number,
  imagesPerDraw: readonly number[],
): DrawBudget {
  const image = 4 * roundUp(pixels, ROW_ALIGNMENT);
  const images = imagesPerDraw.reduce((sum, count) => sum + attacked * count, evaluated + classes);
  // Matrices have a row of zeros behind them.
  const largest = (Math.max(roundUp(classes, 4), evaluated, attacked) + 1) * image;
  return {
    bufferBytes: Math.max(largest, PARTIAL_SUM_BYTES),
    bytes: images * image + (1 + imagesPerDraw.length) * PARTIAL_SUM_BYTES,
    // An iteration of an attack multiplies forward and backward.
    submitFlops: 2 * pixels * classes * Math.max(evaluated, 2 * attacked),
  };
}

/** Number of draws of this cost that a budget allows, at least 1. */
export function drawsWithin(budget: DrawBudget, cost: DrawBudget): number {
  const shares = [
    budget.bufferBytes / cost.bufferBytes,
    budget.bytes / cost.bytes,
    budget.submitFlops / cost.submitFlops,
  ];
  return Math.max(1, Math.floor(Math.min(...shares)));
}
