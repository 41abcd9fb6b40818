/**
 * Makes text from a file printable: one line of at most about 100 characters, without control characters, direction marks
 * or half surrogates.
 */
export function printable(text: string): string {
  const line = text.slice(0, 200).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, '?');
  return line.length > 100 ? `${line.slice(0, 100)}...` : line;
}
