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
  /** Operations of products in the longest submit, two a multiply-add. */
  readonly submitFlops: number;
}

/** WebGPU does not say how much memory there is. An adapter that runs at all has so much beside the model. */
const MOST_BYTES = 2 ** 29;

/**
 * Operations in about a tenth of a second, at 5 and at 80 GFLOP/s: drivers kill a submit after two seconds, and an attack lets
 * eight of them queue up.
 */
const SUBMIT_FLOPS = { software: 2 ** 29, hardware: 2 ** 33 };

/** Partial sums of a product whose K is split, at most: no more tiles of 16 x 16 than keep an adapter busy. */
const PARTIAL_SUM_BYTES = BUSY_TILES.hardware * 16 * 16 * 4;

/** The limits of an adapter. All buffers together may have as many bytes as the largest buffer that it allows. */
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
 * @param evaluated images of an evaluation's batch
 * @param attacked classes
 * @param imagesPerDraw of each attack that stays built: how many images it keeps per draw and attacked class
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

/** Draws of such a cost that a budget allows; one at least. */
export function drawsWithin(budget: DrawBudget, cost: DrawBudget): number {
  const shares = [
    budget.bufferBytes / cost.bufferBytes,
    budget.bytes / cost.bytes,
    budget.submitFlops / cost.submitFlops,
  ];
  return Math.max(1, Math.floor(Math.min(...shares)));
}
