/** Lower bounds of the cost of kernels: floating-point operations, and bytes that even a perfect cache must move. */

import type { Dispatch } from '../src/gpu/dispatch.ts';
import type { BufferView } from '../src/gpu/guarded_device.ts';
import { Recorder } from '../src/gpu/recorder.ts';

export interface Cost {
  /** Floating-point operations as the launchers count them; 0 if they count none. */
  readonly flops: number;
  /** Bytes if every input is read once and every output is written once, padding included. */
  readonly bytes: number;
}

/** Floating-point operations per byte. */
export const intensityOf = ({ flops, bytes }: Cost): number => flops / bytes;

/**
 * The cost of dispatches that run one after the other. Data that one of them writes and a later one reads is an
 * intermediate, which a better program would keep on the chip: neither write nor read counts. Uniforms do not count, nor do
 * placeholders, such as the weights that are bound a second time if a product has no bias.
 *
 * @param updated buffers that a kernel reads before it writes them: its bindings only show the write
 */
export function costOf(
  dispatches: readonly Pick<Dispatch, 'bindings' | 'flops'>[],
  updated: readonly BufferView[] = [],
): Cost {
  const uses = new Map<GPUBuffer, Map<number, { size: number; read: boolean; written: boolean; consumed: boolean }>>();
  for (const { bindings } of dispatches) {
    // A dispatch reads or writes a buffer, never both, so the order of the bindings does not matter.
    for (const [access, { buffer, offset, size }] of bindings) {
      if (access === 'uniform') continue;
      const views = uses.get(buffer) ?? new Map();
      uses.set(buffer, views);
      const use = views.get(offset) ?? { size: 0, read: false, written: false, consumed: false };
      views.set(offset, use);
      use.size = Math.max(use.size, size);
      if (access === 'write') use.written = true;
      else if (use.written) use.consumed = true;
      else use.read = true;
    }
  }
  let bytes = updated.reduce((sum, { size }) => sum + size, 0);
  for (const views of uses.values()) {
    for (const { size, read, written, consumed } of views.values()) {
      bytes += size * (Number(read) + Number(written && !consumed));
    }
  }
  return { flops: dispatches.reduce((sum, { flops = 0 }) => sum + flops, 0), bytes };
}

/** A recorder that computes the cost of its dispatches. */
export class CostRecorder extends Recorder {
  readonly #recorded: Dispatch[] = [];

  override record(dispatch: Dispatch): void {
    this.#recorded.push(dispatch);
    super.record(dispatch);
  }

  /** Cost of all dispatches recorded so far; see {@link costOf}. */
  cost(updated?: readonly BufferView[]): Cost {
    return costOf(this.#recorded, updated);
  }
}
