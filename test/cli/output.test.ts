import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createProgress, type ProgressOptions } from '../../src/cli/output.ts';

/** A progress that writes into an array, with a clock that the test sets. */
function setup(options: Partial<ProgressOptions> & { isTTY?: boolean; columns?: number } = {}) {
  const { isTTY = false, columns = 100, ...rest } = options;
  const written: string[] = [];
  const clock = { seconds: 0 };
  const progress = createProgress({
    stream: { write: (text: string) => written.push(text), isTTY, columns },
    now: () => clock.seconds * 1000,
    ...rest,
  });
  return { progress, written, clock, all: () => written.join('') };
}

beforeEach(() => void vi.stubEnv('NO_COLOR', ''));
afterEach(() => void vi.unstubAllEnvs());

describe('progress in quiet mode', () => {
  test('quiet progress writes nothing at all', () => {
    const { progress, written } = setup({ quiet: true, isTTY: true });
    progress.start('train', 3);
    progress.advance(1, 'epoch 1');
    progress.warn('slow');
    progress.done('fine');
    expect(written).toEqual([]);
  });
});

describe('progress in plain lines', () => {
  test('plain lines appear at most every few seconds, and once more at the end', () => {
    const { progress, written, clock } = setup();
    progress.start('sweep', 100);
    for (let i = 0; i < 100; i++) {
      clock.seconds = (i + 1) / 4;
      progress.advance(1, `draw ${i}`);
    }
    progress.done('100 rows');
    expect(written).toEqual([
      'sweep: 0 %, estimating\n',
      'sweep: 20 %, 20 s left, draw 19\n',
      'sweep: 40 %, 15 s left, draw 39\n',
      'sweep: 60 %, 10 s left, draw 59\n',
      'sweep: 80 %, 5 s left, draw 79\n',
      'sweep: 100 %, draw 99\n',
      'done: sweep (25 s) 100 rows\n',
    ]);
  });

  test('plain lines have no control characters', () => {
    const { progress, all } = setup();
    progress.start('train', 1);
    progress.warn('the adapter is software');
    progress.advance(1);
    progress.done();
    expect(all()).toBe(stripVTControlCharacters(all()));
    expect(all()).toContain('warning: the adapter is software\n');
    expect(all()).not.toContain('\r');
  });

  test('plain lines are few when the pieces of work are many and short', () => {
    const { progress, written, clock } = setup();
    for (let i = 0; i < 50; i++) {
      progress.start(`piece ${i}`, 1);
      clock.seconds += 0.01;
      progress.advance(1);
      progress.done();
    }
    expect(written).toHaveLength(51);
  });
});

describe('the bar on a terminal', () => {
  test('the bar is repainted in place and leaves one line behind', () => {
    const { progress, written, clock, all } = setup({ isTTY: true });
    progress.start('train', 4);
    clock.seconds = 10;
    progress.advance(1, 'epoch 1, loss 0.5');
    expect(stripVTControlCharacters(written.at(-1)!)).toBe(
      `\rtrain  ${'━'.repeat(6)}${'─'.repeat(18)} 25 %  30 s left  epoch 1, loss 0.5`,
    );
    progress.done('accuracy 0.98');
    expect(all().match(/\n/g)).toHaveLength(1);
    expect(written.slice(-2).map(stripVTControlCharacters)).toEqual(['\r', '✓ train (10 s) accuracy 0.98\n']);
  });

  test('the bar has colours, unless NO_COLOR is set', () => {
    const coloured = setup({ isTTY: true });
    coloured.progress.start('train', 4);
    expect(coloured.all()).toContain('\u001b[2m');
    vi.stubEnv('NO_COLOR', '1');
    const plain = setup({ isTTY: true });
    plain.progress.start('train', 4);
    expect(plain.all()).not.toContain('\u001b[2m');
    expect(plain.all()).not.toContain('\u001b[36m');
  });

  test('the bar never fills the last column, however narrow the terminal', () => {
    for (const columns of [100, 60, 40, 20, 5]) {
      const { progress, written, clock } = setup({ isTTY: true, columns });
      progress.start('a piece of work with a long name', 4);
      clock.seconds = 1;
      progress.advance(1, 'and a note that is rather longer than the line\nis, and has two lines');
      const line = stripVTControlCharacters(written.at(-1)!).slice(1);
      expect(line.length).toBeLessThan(columns);
      expect(line).not.toContain('\n');
    }
  });

  test('the bar is not repainted more often than the eye can see', () => {
    const { progress, written, clock } = setup({ isTTY: true });
    progress.start('train', 1000);
    for (let i = 0; i < 900; i++) {
      clock.seconds += 0.001;
      progress.advance(1);
    }
    expect(written.length).toBeLessThan(15);
  });

  test('the bar makes room for a warning and is painted again', () => {
    const { progress, written } = setup({ isTTY: true });
    progress.start('train', 4);
    progress.warn('slow');
    expect(written.slice(-3).map(stripVTControlCharacters)).toEqual([
      '\r',
      'warning: slow\n',
      expect.stringContaining('train'),
    ]);
  });
});

describe('the time left', () => {
  const last = (written: string[]) => /(?:(\d+) min )?(\d+) s left/.exec(written.at(-1)!)!;
  const seconds = (match: RegExpExecArray) => Number(match[1] ?? 0) * 60 + Number(match[2]);

  test('the time left does not count the work of an earlier run as speed', () => {
    const { progress, written, clock } = setup();
    progress.start('sweep', 100, 80);
    expect(written.at(-1)).toBe('sweep: 80 %, estimating\n');
    clock.seconds = 10;
    progress.advance(5);
    expect(written.at(-1)).toBe('sweep: 85 %, 30 s left\n');
  });

  test('the time left rises when the work becomes slower', () => {
    const { progress, written, clock } = setup();
    progress.start('sweep', 300);
    for (let i = 0; i < 100; i++) {
      clock.seconds += 0.6;
      progress.advance(1);
    }
    for (let i = 0; i < 50; i++) {
      clock.seconds += 6;
      progress.advance(1);
    }
    // 150 units of 6 s are left; the average of the whole run would say 360 s.
    expect(seconds(last(written))).toBeGreaterThan(700);
    expect(seconds(last(written))).toBeLessThan(950);
  });

  test('epochs within one long unit do not inflate the time left', () => {
    const { progress, written, clock } = setup();
    progress.start('measure', 10);
    clock.seconds = 10;
    progress.advance(1);
    const inLong = (seconds: number) => {
      for (const end = clock.seconds + seconds; clock.seconds < end; ) {
        clock.seconds += 1;
        progress.advance(0, 'epoch');
      }
      return written.at(-1);
    };
    expect(inLong(5)).toBe('measure: 10 %, 1 min 25 s left, epoch\n');
    expect(inLong(20)).toBe('measure: 10 %, estimating, epoch\n');
    progress.advance(1, 'row');
    expect(inLong(5)).toMatch(/^measure: 20 %, 2 min \d+ s left, epoch\n$/);
  });

  test('the time left is right for units of any size', () => {
    const { progress, written, clock } = setup();
    progress.start('sweep', 100);
    for (const units of [1, 30, 4, 15]) {
      clock.seconds += units;
      progress.advance(units);
    }
    expect(seconds(last(written))).toBe(50);
  });
});

test('progress without a start is ignored, and a new start ends the previous one', () => {
  const { progress, all } = setup();
  progress.advance(1);
  progress.done();
  expect(all()).toBe('');
  progress.start('one', 1);
  progress.start('two', 1);
  expect(all()).toContain('done: one (0 s)\n');
});
