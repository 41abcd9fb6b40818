import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ConfigError, DataError } from '../../src/errors.ts';
import { parseJson, parseJsonObject } from '../../src/formats/json.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);
const utf16 = (text: string, order: 'le' | 'be') => {
  const bytes = new Uint8Array(text.length * 2);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i), order === 'le');
  return bytes;
};
const caseFile = (name: string) => readFileSync(new URL(`../fixtures/cases/07-bom-json/${name}.json`, import.meta.url));

describe('the text of a JSON file', () => {
  it('a byte order mark before UTF-8 is skipped, in bytes and in text', () => {
    expect(parseJson(utf8('\ufeff{"a": [1]}'), 'a.json')).toEqual({ a: [1] });
    expect(parseJson('\ufeff[null]', 'a.json')).toEqual([null]);
    expect(parseJson(caseFile('bom'), 'bom.json')).toEqual({ draws: 1 });
    expect(parseJson(caseFile('crlf'), 'crlf.json')).toEqual({ draws: 1 });
  });

  it.each([
    ['little-endian with a mark', utf16('\ufeff{"a":1}', 'le')],
    ['big-endian with a mark', utf16('\ufeff{"a":1}', 'be')],
    ['little-endian without a mark', utf16('{"a":1}', 'le')],
    ['big-endian without a mark', utf16('{"a":1}', 'be')],
    ['the case file', caseFile('utf16')],
  ])('UTF-16 is refused by its name: %s', (_, bytes) => {
    expect(() => parseJson(bytes, 'a.json')).toThrow(
      new DataError('a.json: the text is UTF-16; save the file as UTF-8'),
    );
  });

  it('text that is not UTF-8, an empty file and a syntax error are refused on one line', () => {
    expect(() => parseJson(Uint8Array.of(0x7b, 0xe4, 0x7d), 'a.json')).toThrow(/^a\.json: not text in UTF-8/);
    for (const empty of ['', ' \n', '\ufeff']) expect(() => parseJson(empty, 'a.json')).toThrow(/the file is empty/);
    expect(() => parseJson('{"a":\n\u001b[31m}', 'a.json')).toThrow(/^a\.json: not JSON: [\x20-\x7e]+$/);
    expect(() => parseJson(caseFile('comments'), 'comments.json')).toThrow(/^comments\.json: not JSON: /);
  });

  it('the class of the error is that which the caller names', () => {
    expect(() => parseJson('{', 'a.json', { error: ConfigError })).toThrow(ConfigError);
    expect(() => parseJson('{', 'a.json')).toThrow(DataError);
  });
});

it.each(['', '{', 'null', '{"a":1,"a":2}', '{"__proto__":1}', utf16('{"a":1}', 'le'), Uint8Array.of(0x7b, 0xe4, 0x7d)])(
  'advice about a JSON file that nobody writes by hand replaces all other advice: %j',
  (json) => {
    const parse = () => parseJsonObject(json, 'a.json', { advice: 'run again' });
    expect(parse).toThrow(/^a\.json: [^;]+; run again$/);
  },
);

describe('the keys of a JSON file', () => {
  it('a key that occurs twice in one object is refused with its path, and the same key in two objects is not', () => {
    expect(() => parseJson('{"a":[{"b":1},{"b":1,"c":2,"b":3}]}', 'a.json')).toThrow(
      /^a\.json: a\.1\.b: this key occurs twice/,
    );
    expect(() => parseJson('{"a":1,"\\u0061":2}', 'a.json')).toThrow(/a: this key occurs twice/);
    expect(() => parseJson(caseFile('dup'), 'dup.json')).toThrow(/draws: this key occurs twice/);
    expect(parseJson('[{"a":"{\\"a\\":[,:"},{"a":"\\\\"}]', 'a.json')).toEqual([{ a: '{"a":[,:' }, { a: '\\' }]);
  });

  it.each(['__proto__', 'constructor', 'prototype'])(
    'the key %s, which JavaScript would drop, is refused with its path',
    (key) => {
      expect(() => parseJson(`{"layers":{"${key}":{}}}`, 'a.json')).toThrow(`a.json: layers.${key}: no such key`);
    },
  );

  it('nesting of a hundred thousand levels is refused', () => {
    const deep = `${'['.repeat(1e5)}${']'.repeat(1e5)}`;
    expect(() => parseJson(deep, 'a.json')).toThrow(/nested more than 64 levels deep$/);
    expect(parseJson(`${'['.repeat(64)}${']'.repeat(64)}`, 'a.json')).toHaveLength(1);
  });

  it.each([
    ['null', 'null'],
    ['array', 'an array'],
    ['string', 'a string'],
  ])('a file that holds %s is refused as no object', (name, found) => {
    expect(() => parseJsonObject(caseFile(name), 'a.json', { error: ConfigError })).toThrow(
      `a.json: it holds ${found}, no object`,
    );
  });
});
