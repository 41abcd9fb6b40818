import { describe, expect, test } from 'vitest';
import { LINE_LENGTH, listed, printable, printableEnd } from '../src/printable.ts';

describe('text of strangers', () => {
  test('control characters and escapes of a name are written as code points', () => {
    expect(printable('a\u001b[2Jb\nc\u009b\u0007')).toBe('a\\u{1b}[2Jb\\u{a}c\\u{9b}\\u{7}');
    expect(printable('x\u202egnp.exe\u2028\uffff\ud800y')).toBe('x\\u{202e}gnp.exe\\u{2028}\\u{ffff}\\u{d800}y');
  });

  test('printable text of any language stays as it is', () => {
    for (const text of ['Zoë Kravitz', '李小龍', '👩🏽‍🦰 ok', 'a\\b "c"']) expect(printable(text)).toBe(text);
  });

  test('a long text is cut to its room with dots in place of the rest', () => {
    expect(printable('x'.repeat(400))).toBe(`${'x'.repeat(LINE_LENGTH - 3)}...`);
    expect(printable('x'.repeat(LINE_LENGTH))).toHaveLength(LINE_LENGTH);
    expect(printable('\n'.repeat(100), 50).length).toBeLessThanOrEqual(50);
    // A cut in the middle of a surrogate pair takes the whole character.
    expect(printable('👩👩👩👩', 6)).toBe('👩...');
  });

  test('a long path keeps its end', () => {
    expect(printableEnd('/very/long/folder/name.jpg', 15)).toBe('...der/name.jpg');
    expect(printableEnd('short.jpg', 15)).toBe('short.jpg');
    expect(printableEnd('a\u001bb', 15)).toBe('a\\u{1b}b');
  });

  test('a list names as many texts as fit and counts the others', () => {
    expect(listed(['a', 'b', 'c'], 100)).toBe('a, b, c');
    const names = Array.from({ length: 50 }, (_, i) => `person ${i}`);
    const line = listed(names, 80);
    expect(line).toMatch(/^person 0, person 1, .* and \d+ more$/);
    expect(line.length).toBeLessThanOrEqual(80);
    expect(listed(['x'.repeat(90), 'y'], 20)).toBe(`${'x'.repeat(90)} and 1 more`);
  });
});
