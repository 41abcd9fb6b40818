/** Reads JSON files as people and editors write them. */
import { type ConfigError, DataError } from '../errors.ts';
import { printableMessage } from '../printable.ts';

/** Deepest nesting of objects and arrays; files of this project have at most a dozen levels. */
const DEEPEST = 64;

/** Keys that JavaScript or the validation of objects would drop without a word. */
export const RESERVED_KEYS: readonly string[] = ['__proto__', 'prototype', 'constructor'];

type ErrorClass = typeof DataError | typeof ConfigError;

/**
 * Parses JSON in UTF-8, with or without a byte order mark.
 *
 * @param json bytes of a file, or its text
 * @param name of the file, for messages
 * @param Refusal class of the error: ConfigError (exit code 2) for what users write by hand, DataError (4) for other files
 * @throws Refusal naming the file, and where it applies the path in it: for UTF-16 and other text that is not UTF-8, an empty
 *   file, a syntax error, more than 64 levels, a key that occurs twice in one object, and a key of {@link RESERVED_KEYS}
 */
export function parseJson(json: Uint8Array | string, name: string, Refusal: ErrorClass = DataError): unknown {
  const text = typeof json === 'string' ? json.replace(/^\ufeff/, '') : decode(json, name, Refusal);
  if (text.trim() === '') throw new Refusal(`${name}: the file is empty, not JSON`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Refusal(`${name}: not JSON: ${printableMessage((cause as Error).message)}`, { cause });
  }
  checkKeys(text, (path, reason) => {
    throw new Refusal(`${name}: ${path === '' ? '' : `${path}: `}${reason}`);
  });
  return value;
}

/** {@link parseJson} of a file that holds an object. @throws Refusal for any other value, too */
export function parseJsonObject(
  json: Uint8Array | string,
  name: string,
  Refusal: ErrorClass = DataError,
): Record<string, unknown> {
  const value = parseJson(json, name, Refusal);
  if (isObject(value)) return value;
  const found = Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`;
  throw new Refusal(`${name}: it holds ${found}, no object; a JSON object begins with { and ends with }`);
}

/** True for an object of JSON: neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function decode(bytes: Uint8Array, name: string, Refusal: ErrorClass): string {
  const [first, second] = bytes;
  // JSON begins with an ASCII character, which in UTF-16 and UTF-32 has a zero byte before or behind it.
  const isMarked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (isMarked || (bytes.length > 1 && (first === 0) !== (second === 0))) {
    throw new Refusal(`${name}: the text is UTF-16; save the file as UTF-8`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Refusal(`${name}: not text in UTF-8, so not JSON; check the file`, { cause });
  }
}

interface Level {
  /** Keys so far; absent in an array. */
  readonly keys?: Set<string>;
  /** The key or index that the scan has reached. */
  at: string | number;
}

/** Scans the text of a valid JSON value for nesting that is too deep and for keys of which a parser drops one. */
function checkKeys(text: string, refuse: (path: string, reason: string) => never): void {
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
        if (keys!.has(key)) refuse(path(), 'this key occurs twice; keep one of them');
        if (RESERVED_KEYS.includes(key)) refuse(path(), 'no such key; remove it');
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
