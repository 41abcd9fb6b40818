import { ConfigError } from '../errors.ts';

/**
 * Parses a bit error rate as a user writes it: `0.01` or `2^-6`.
 * @param option that it is the value of, for the message
 * @returns the rate, 0..1
 * @throws ConfigError, with advice on `2-6`, which is what cmd.exe makes of `2^-6`
 */
export function parseRate(text: string, option?: string): number {
  const trimmed = text.trim();
  const [, exponent] = /^2\^(-?\d+)$/.exec(trimmed) ?? [];
  const rate = exponent !== undefined ? 2 ** Number(exponent) : trimmed === '' ? Number.NaN : Number(trimmed);
  if (rate >= 0 && rate <= 1) return rate;
  const [, lost] = /^2-(\d+)$/.exec(trimmed) ?? [];
  const advice = lost === undefined ? '' : `; if it was 2^-${lost}: cmd.exe drops the ^, so quote it, "2^-${lost}"`;
  throw new ConfigError(`${option === undefined ? '' : `${option}: `}${text} is not a rate in 0..1${advice}`);
}
