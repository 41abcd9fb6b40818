/** Lower bounds of the cost of operations: floating-point operations, and bytes that must be moved whatever the cache. */

import type { Dispatch } from '../src/gpu/dispatch.ts';
import type { BufferView } from '../src/gpu/guarded_device.ts';
import { Recorder } from '../src/gpu/recorder.ts';

export interface Cost {
  /** As the launchers count them; 0 where none does. */
  readonly flops: number;
  /** Every input read once and every output written once, padding included. */
  readonly bytes: number;
}

/** Floating-point operations per byte. */
export const intensityOf = ({ flops, bytes }: Cost): number => flops / bytes;

/**
 * The cost of dispatches that run one after the other. What one of them writes and a later one reads is an intermediate,
 * which a better program would keep on the chip: it counts neither way. Uniforms do not count; neither do stand-ins, such
 * as the weights that are bound once more where a product has no bias.
 *
 * @param updated what a kernel reads before it writes it: its bindings only say that it writes
 */
export function costOf(
  dispatches: readonly Pick<Dispatch, 'bindings' | 'flops'>[],
  updated: readonly BufferView[] = [],
): Cost {
  const uses = new Map<GPUBuffer, Map<number, { size: number; read: boolean; written: boolean; consumed: boolean }>>();
  for (const { bindings } of dispatches) {
    // Of one buffer a dispatch reads or writes, never both: their order within it does not matter.
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

/** Records as any recorder does, and knows what that costs. */
export class CostRecorder extends Recorder {
  readonly #recorded: Dispatch[] = [];

  override record(dispatch: Dispatch): void {
    this.#recorded.push(dispatch);
    super.record(dispatch);
  }

  /** See {@link costOf}. */
  cost(updated?: readonly BufferView[]): Cost {
    return costOf(this.#recorded, updated);
  }
}
