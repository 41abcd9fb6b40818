/** Makes text that strangers chose, such as names of files, safe to print: on one line and without effect on a terminal. */

/** The greatest length of a line for the user, in UTF-16 code units; with a longer mark before it, it stays below 300. */
export const LINE_LENGTH = 297;

/**
 * Control characters, line separators, marks that change the direction of text, characters without a glyph, and halves of
 * surrogate pairs.
 */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffe\uffff\p{Cs}]/gu;

/**
 * Writes every unprintable character as its code point, such as \u{1b} for the escape that begins a command to a terminal,
 * and cuts the rest of a long text off, with dots in its place.
 *
 * @param most greatest length of the result in UTF-16 code units, at least 3
 */
export function printable(text: string, most = LINE_LENGTH): string {
  const escaped = text.replace(UNPRINTABLE, (each) => `\\u{${each.codePointAt(0)?.toString(16)}}`);
  return escaped.length > most ? `${wholeCharacters(escaped.slice(0, most - 3))}...` : escaped;
}

/** The end of a path, with dots in place of a beginning for which there is no room; printable. */
export function printableEnd(path: string, most: number): string {
  const escaped = printable(path, Number.POSITIVE_INFINITY);
  return escaped.length > most ? `...${wholeCharacters(escaped.slice(3 - most))}` : escaped;
}

/** As many of the texts as fit into `room` UTF-16 code units, at least one, and the number of the others: "a, b and 7 more". */
export function listed(texts: readonly string[], room: number): string {
  let shown = 0;
  let length = 0;
  const most = room - ' and 1000000 more'.length;
  for (const text of texts) {
    length += text.length + 2;
    if (shown > 0 && length > most) break;
    shown++;
  }
  const rest = texts.length - shown;
  return `${texts.slice(0, shown).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** Text without the half of a surrogate pair that a cut leaves at one of its ends. */
function wholeCharacters(text: string): string {
  return text.replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, '');
}

/** The greatest length of a message, before which the command line writes `midas: ` or `warning: `. */
const LONGEST_MESSAGE = LINE_LENGTH - 'midas: '.length;

/**
 * A message as one printable line of at most 290 characters. Line breaks become spaces; of a longer message the middle is left
 * out, because a path stands at its beginning and the advice at its end.
 */
export function printableMessage(text: string): string {
  // A message of megabytes is cut first, so that its length costs nothing.
  const ends = text.length > 10_000 ? `${text.slice(0, 5000)}${text.slice(-5000)}` : text;
  const line = printable(ends.replace(/\s*[\r\n]\s*/g, ' ').trim(), Number.POSITIVE_INFINITY);
  if (line.length <= LONGEST_MESSAGE) return line;
  const tail = Math.floor(LONGEST_MESSAGE / 3);
  return `${wholeCharacters(line.slice(0, LONGEST_MESSAGE - tail - 5))} ... ${wholeCharacters(line.slice(-tail))}`;
}

/** The text of a JSON value, with unprintable characters as escapes of JSON. The value stays the same; line breaks remain. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (each) =>
    each === '\n' ? each : `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
