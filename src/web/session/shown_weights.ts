/** Some weights of a tensor as they are stored, and as one read returns them under the memory that is loaded now. */
import type { Testbed } from '../../experiments/testbed.ts';
import { codeAt } from '../../memory/codec.ts';
import { blockFaults } from '../../memory/fault_sampler.ts';
import { floatOfBits } from '../../memory/floating_point.ts';
import type { Reply } from '../protocol.ts';
import type { Setting } from '../setting.ts';

/** Number of weights that the page draws: the first of the tensor's first row. */
const SHOWN = 8;

/** @throws DeviceLostError */
export async function shownWeights(
  { memory }: Testbed,
  setting: Setting,
): Promise<Extract<Reply, { kind: 'weights' }>> {
  const { tensor } = setting;
  const codec = memory.codecOf(tensor);
  const { bits, storageBits } = codec;
  const stored = (await memory.readCodes(tensor)).subarray(0, storageBits / 2);
  const wrong = blockFaults(memory.faultSamplerOf(tensor))(0, stored);
  const value = (code: number) => floatOfBits(codec.decode(code, 0));
  const weights = Array.from({ length: SHOWN }, (_, i) => {
    const code = codeAt(stored, i, storageBits);
    const read = (code ^ codeAt(wrong, i, storageBits)) >>> 0;
    return { code, read, value: value(code), readValue: value(read) };
  });
  return { kind: 'weights', setting, tensor, bits, weights };
}
