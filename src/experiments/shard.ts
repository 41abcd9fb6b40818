/** Shards: an experiment whose conditions are dealt to several runs, on any machines with the same adapter. */
import { ConfigError } from '../errors.ts';

export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

/** The only shard of an experiment that is not dealt. */
export const WHOLE: Shard = { index: 0, count: 1 };

/** Reads `2/3`, the second of three. @throws ConfigError */
export function parseShard(text: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const shard = { index: Number(index) - 1, count: Number(count) };
  if (!(shard.index >= 0 && shard.index < shard.count)) {
    throw new ConfigError(`--shard ${text}: give the shard and their number, such as 1/4`);
  }
  return shard;
}
