/** Names of number formats. */
import type { NumberFormat } from './config.ts';

/** Label of a number format, such as `fixed12`, `fixed12+3` with headroom, `fixed12 fitted to fc1`, `int8 per-channel`. */
export function formatName(format: NumberFormat): string {
  if ('nonFinite' in format) return `${format.kind}${format.nonFinite === 'propagate' ? '' : ` ${format.nonFinite}`}`;
  if ('scale' in format) return `${format.kind}${format.scale === 'per-tensor' ? '' : ` ${format.scale}`}`;
  const { bits, exponent, headroom, encoding, representation } = format;
  const parts = [`fixed${bits}${headroom > 0 ? `+${headroom}` : ''}`];
  if (typeof exponent === 'number') parts.push(`2^${exponent}`);
  else if (typeof exponent === 'object') parts.push(`fitted to ${exponent.layer}`);
  else if (exponent === 'shared') parts.push(exponent);
  if (encoding === 'faithful') parts.push('faithful');
  if (representation === 'twos-complement') parts.push(representation);
  return parts.join(' ');
}
