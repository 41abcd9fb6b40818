import { describe, expect, it } from 'vitest';
import { type DrawBudget, drawBudget, drawsWithin, linearDrawCost } from '../../src/experiments/draws.ts';
import type { Gpu } from '../../src/gpu/device.ts';

const adapterOf = (maxStorageBufferBindingSize: number, maxBufferSize: number, software: boolean) =>
  drawBudget({ device: { limits: { maxStorageBufferBindingSize, maxBufferSize } }, adapter: { software } } as Gpu);

/** AT&T: 120 test photographs, two attacks on 40 classes. */
const ATT = linearDrawCost(10304, 40, 120, 40, [4, 4]);

describe('draws that are measured together', () => {
  it('a draw needs the evaluated images, the weights and four images per class of every attack', () => {
    const image = 4 * 10304;
    expect(ATT.bufferBytes).toBe(121 * image);
    expect(ATT.bytes).toBe((120 + 40 + 2 * 4 * 40) * image + 3 * 2 ** 19);
    expect(ATT.submitFlops).toBe(2 * 10304 * 40 * 120);
    // With few photographs, an iteration of the attack, forward and backward, is the longest submit. PROCESS needs one
    // image more.
    const few = linearDrawCost(10304, 40, 8, 40, [5]);
    expect(few.submitFlops).toBe(4 * 10304 * 40 * 40);
    expect(few.bytes).toBe((8 + 40 + 5 * 40) * image + 2 * 2 ** 19);
  });

  it('the number of draws is at least one and within the buffers, the memory and the length of a submit', () => {
    const plenty: DrawBudget = { bufferBytes: 1e12, bytes: 1e12, submitFlops: 1e15 };
    expect(drawsWithin({ ...plenty, bufferBytes: 3.5 * ATT.bufferBytes }, ATT)).toBe(3);
    expect(drawsWithin({ ...plenty, bytes: 2 * ATT.bytes }, ATT)).toBe(2);
    expect(drawsWithin({ ...plenty, submitFlops: 4.9 * ATT.submitFlops }, ATT)).toBe(4);
    expect(drawsWithin({ bufferBytes: 0, bytes: 0, submitFlops: 0 }, ATT)).toBe(1);
  });

  it('the number of draws is bounded by the limits of the adapter, and by the speed of a slow one', () => {
    // WebGPU's default limits on a GPU: 128 MiB per binding, which also bounds all buffers together.
    expect(drawsWithin(adapterOf(2 ** 27, 2 ** 28, false), ATT)).toBe(6);
    expect(drawsWithin(adapterOf(2 ** 30, 2 ** 30, false), ATT)).toBe(25);
    // The five draws of the published protocol fit a software adapter.
    expect(drawsWithin(adapterOf(2 ** 30, 2 ** 30, true), ATT)).toBe(5);
  });
});
