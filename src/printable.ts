/**
 * Text that may come from strangers (names of people, files, tensors, adapters), made safe to print on a terminal. This file
 * imports nothing, so that every folder may use it.
 */

/**
 * Characters that act on a terminal or deceive a reader: control characters, line and paragraph separators, marks that reverse
 * the direction of text, byte order marks, halves of surrogate pairs, and the two code points that are no characters.
 */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]/gu;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** The longest message that the command line prints, in characters. */
const LONGEST_MESSAGE = 280;

/**
 * Replaces every character that is not safe to print by its escape in JSON, such as `\u001b`. The result is one line. The text
 * of a JSON value stays JSON with the same value.
 */
export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * A message as one printable line of at most 280 characters. Line breaks become spaces; of a longer message the middle is left
 * out, because a path stands at its beginning and the advice at its end.
 */
export function printableMessage(text: string): string {
  // A message of many megabytes is cut first, so that its length costs nothing.
  const ends = text.length > 10_000 ? `${text.slice(0, 5000)}${text.slice(-5000)}` : text;
  const characters = [...printable(ends.replace(/\s*[\r\n]\s*/g, ' ').trim())];
  if (characters.length <= LONGEST_MESSAGE) return characters.join('');
  const tail = Math.floor(LONGEST_MESSAGE / 3);
  return `${characters.slice(0, LONGEST_MESSAGE - tail - 3).join('')} … ${characters.slice(-tail).join('')}`;
}
