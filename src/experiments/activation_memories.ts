import * as v from 'valibot';
import { NamedMemories, type NumberFormat } from '../memory/config.ts';
import type { NamedMemory } from './config.ts';

/**
 * One condition per bit error rate of activations: the outputs of all dense layers and convolutions are written to
 * approximate memory and read back, while the weights are exact, as on an accelerator whose buffers of activations are
 * undervolted. Every image has errors of its own in every pass.
 * @param rates bit error rates, 0..1
 */
export function activationMemories(
  rates: readonly number[],
  format: v.InferInput<typeof NumberFormat> = { kind: 'fixed' },
): NamedMemory[] {
  const setting = 'activations';
  const memories = rates.map((bitErrorRate) => {
    const stored = { kind: 'stored', format, faults: [{ kind: 'uniform', bitErrorRate }] };
    const memory = { granularity: 'inference', layers: {}, activations: { '*': stored } };
    return { name: `${setting}, ${Number((100 * bitErrorRate).toPrecision(3))} %`, setting, memory };
  });
  return v.parse(NamedMemories, memories);
}
