/** Reads a tensor once from the memory of a setting, and reports its flips. */
import { DataError } from '../../errors.ts';
import { memoryOf } from '../../experiments/conditions.ts';
import { codeAt } from '../../memory/codec.ts';
import { parseMemoryConfig } from '../../memory/config.ts';
import { flippedLines, flipRates } from '../../memory/flips.ts';
import { modelLayout } from '../../models/model_parameters.ts';
import type { Setting } from '../setting.ts';
import type { JobContext } from './job.ts';
import type { Planned } from './measure_job.ts';

/** @throws DataError for a tensor that lies in exact memory */
export async function mapFlips(
  { post }: Pick<JobContext, 'post'>,
  setting: Setting,
  { of, config, condition, ready }: Planned,
): Promise<void> {
  const { memory, spec, layers } = ready.testbed;
  const slice = modelLayout(spec).find(setting.tensor);
  if (!Object.hasOwn(condition.rates, slice.layer)) {
    throw new DataError(`${setting.tensor} lies in exact memory; choose layers that include ${slice.layer}`);
  }
  await memory.configure(parseMemoryConfig(memoryOf(condition, config), layers));
  await memory.load(setting.draw);
  const { bits, storageBits } = memory.codecOf(setting.tensor);
  const { rows, columns, stride } = slice;
  const stored = await memory.readCodes(setting.tensor);
  const returned = await memory.fetchCodes(setting.tensor);
  const read = { rows, columns, stride, storageBits, bits, stored, returned };
  const flips = Uint32Array.from(
    { length: rows * stride },
    (_, i) => codeAt(stored, i, storageBits) ^ codeAt(returned, i, storageBits),
  );
  post({
    kind: 'map',
    of,
    setting,
    rows,
    columns,
    stride,
    bits,
    flips,
    ...flipRates(read),
    cacheLines: flippedLines(read),
  });
}
