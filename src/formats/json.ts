/** Reads JSON files as people and editors write them. */
import { type ConfigError, DataError } from '../errors.ts';
import { printableMessage } from '../printable.ts';

/** Deepest nesting of objects and arrays; files of this project have at most a dozen levels. */
const DEEPEST = 64;

/** Keys that JavaScript or the validation of objects would drop without a word. */
export const RESERVED_KEYS: readonly string[] = ['__proto__', 'prototype', 'constructor'];

/** How the readers below refuse a file. */
export interface JsonRefusal {
  /** ConfigError (exit code 2) for what users write by hand; DataError (4), the default, for other files. */
  readonly error?: typeof DataError | typeof ConfigError;
  /** What to do about a file that nobody writes by hand, in place of advice on how to correct it. */
  readonly advice?: string;
}

/**
 * Parses JSON in UTF-8, with or without a byte order mark.
 *
 * @param json bytes of a file, or its text
 * @param name of the file, for messages
 * @throws DataError, or the error of `refusal`, naming the file, and where it applies the path in it: for UTF-16 and other
 *   text that is not UTF-8, an empty file, a syntax error, more than 64 levels, a key that occurs twice in one object, and a
 *   key of {@link RESERVED_KEYS}
 */
export function parseJson(json: Uint8Array | string, name: string, refusal: JsonRefusal = {}): unknown {
  const text = typeof json === 'string' ? json.replace(/^\ufeff/, '') : decodeJson(json, name, refusal);
  if (text.trim() === '') throw refused(`${name}: the file is empty, not JSON`, refusal);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const { message } = cause as Error;
    throw refused(`${name}: not JSON: ${printableMessage(message)}`, refusal, { cause });
  }
  checkKeys(text, (path, reason, hint) => {
    throw refused(`${name}: ${path === '' ? '' : `${path}: `}${reason}`, refusal, { hint });
  });
  return value;
}

/** {@link parseJson} of a file that holds an object, and must not hold another value. */
export function parseJsonObject(
  json: Uint8Array | string,
  name: string,
  refusal: JsonRefusal = {},
): Record<string, unknown> {
  const value = parseJson(json, name, refusal);
  if (isObject(value)) return value;
  const found = Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`;
  const hint = 'a JSON object begins with { and ends with }';
  throw refused(`${name}: it holds ${found}, no object`, refusal, { hint });
}

/** @param about.hint what to do unless the refusal has other advice */
function refused(
  problem: string,
  { error: Refusal = DataError, advice }: JsonRefusal,
  { hint, cause }: { readonly hint?: string; readonly cause?: unknown } = {},
): DataError | ConfigError {
  const next = advice ?? hint;
  return new Refusal(next === undefined ? problem : `${problem}; ${next}`, { cause });
}

/** True for an object of JSON: neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The text of a JSON file, without a byte order mark. @throws DataError, or the error of `refusal`, if it is not UTF-8 */
export function decodeJson(bytes: Uint8Array, name: string, refusal: JsonRefusal = {}): string {
  const [first, second] = bytes;
  // JSON begins with an ASCII character, which in UTF-16 and UTF-32 has a zero byte before or behind it.
  const isMarked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (isMarked || (bytes.length > 1 && (first === 0) !== (second === 0))) {
    throw refused(`${name}: the text is UTF-16`, refusal, { hint: 'save the file as UTF-8' });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw refused(`${name}: not text in UTF-8, so not JSON`, refusal, { hint: 'check the file', cause });
  }
}

interface Level {
  /** Keys so far; absent in an array. */
  readonly keys?: Set<string>;
  /** The key or index that the scan has reached. */
  at: string | number;
}

/** Scans the text of a valid JSON value for nesting that is too deep and for keys of which a parser drops one. */
function checkKeys(text: string, refuse: (path: string, reason: string, hint?: string) => never): void {
  const levels: Level[] = [];
  const path = () =>
    levels
      .slice(0, 8)
      .map(({ at }) => at)
      .join('.');
  let string = '';
  for (let i = 0; i < text.length; i++) {
    const level = levels.at(-1);
    switch (text[i]) {
      case '"': {
        const begin = i++;
        while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
        string = text.slice(begin, i + 1);
        break;
      }
      case ':': {
        const key = JSON.parse(string) as string;
        const { keys } = level!;
        level!.at = key;
        if (keys!.has(key)) refuse(path(), 'this key occurs twice', 'keep one of them');
        if (RESERVED_KEYS.includes(key)) refuse(path(), 'no such key', 'remove it');
        keys!.add(key);
        break;
      }
      case ',':
        if (!level!.keys) level!.at = Number(level!.at) + 1;
        break;
      case '{':
      case '[':
        if (levels.length === DEEPEST) refuse(path(), `nested more than ${DEEPEST} levels deep`);
        levels.push({ at: 0, ...(text[i] === '{' && { keys: new Set<string>() }) });
        break;
      case '}':
      case ']':
        levels.pop();
        break;
    }
  }
}
