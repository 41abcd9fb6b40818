/** Shards: the conditions of an experiment are divided among several runs, on any machines with the same adapter. */
import { ConfigError } from '../errors.ts';

export interface Shard {
  /** 0..count - 1. */
  readonly index: number;
  readonly count: number;
}

/** The only shard of an experiment that is not divided. */
export const WHOLE: Shard = { index: 0, count: 1 };

/** Reads `2/3`, the second of three. @throws ConfigError */
export function parseShard(text: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const shard = { index: Number(index) - 1, count: Number(count) };
  if (!(shard.index >= 0 && shard.index < shard.count)) {
    throw new ConfigError(`--shard ${text}: give a shard and the number of shards, such as 1/4`);
  }
  return shard;
}
