/** Text from strangers: names with control characters reach neither the terminal nor a spreadsheet's formulas. */
import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createProgress } from '../../src/cli/output.ts';
import { Session } from '../../src/cli/session.ts';
import { shellQuoted } from '../../src/cli/shell.ts';
import { printableJson, printableMessage } from '../../src/printable.ts';

/** Sets the title of a terminal, moves its cursor, reverses text, and ends with half a surrogate pair. */
const HOSTILE = 'a\u001b]0;owned\u0007\u009b31m\r\nb\u202ec\u2028\uffff\ud800';
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is to be found.
const ACTS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]|\p{Cs}/u;

describe('messages from the command line', () => {
  it('a message is one line without control characters', () => {
    const shown = printableMessage(`${HOSTILE}: no such file;\n  check the path`);
    expect(shown).not.toMatch(ACTS);
    expect(shown).not.toContain('\n');
    expect(shown).toMatch(/: no such file; check the path$/);
  });

  it('a long message keeps its beginning and its advice, in fewer than 300 characters', () => {
    for (const length of [291, 5000, 1_000_000]) {
      const shown = printableMessage(`start ${'\u{1f600}x'.repeat(length)} give another --out`);
      expect(shown.length).toBeLessThanOrEqual(290);
      expect(shown).toMatch(/^start .* \.\.\. .*give another --out$/u);
      expect(shown).not.toMatch(ACTS);
    }
    expect(printableMessage('x'.repeat(290))).toBe('x'.repeat(290));
  });

  it('JSON keeps its value when it is made printable', () => {
    const value = { [HOSTILE]: [HOSTILE, 'Zoë', '\u{1f600}'] };
    for (const indent of [0, 2]) {
      const shown = printableJson(JSON.stringify(value, null, indent));
      expect(shown).not.toMatch(ACTS);
      expect(JSON.parse(shown)).toEqual(value);
    }
  });
});

it.each([true, false])('progress prints names without control characters (terminal: %s)', (isTTY) => {
  let text = '';
  let time = 0;
  const stream = { isTTY, columns: 120, write: (part: string) => (text += part) };
  const progress = createProgress({ stream, now: () => (time += 10_000) });
  progress.start(HOSTILE, 2);
  progress.advance(1, HOSTILE);
  progress.warn(HOSTILE);
  progress.advance(1, HOSTILE);
  progress.done(HOSTILE);
  // What remains is the progress itself: colours, erasing the line of the bar, line breaks.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what is to be removed.
  const own = /\r?\u001b\[(2K|\d+m)/g;
  expect(text.replace(own, '')).not.toMatch(ACTS);
  expect(text).toContain('\\u{9b}31m');
});

describe('output of a session', () => {
  afterEach(() => vi.restoreAllMocks());

  function written(json: boolean, work: (session: Session) => void): string {
    let text = '';
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, 'write').mockImplementation((part) => {
        text += part;
        return true;
      });
    }
    work(new Session({ out: 'x', adapter: 'auto', json, quiet: false }, []));
    vi.restoreAllMocks();
    return text;
  }

  it('answers and remarks with hostile names stay on their lines', () => {
    const lines = written(false, (session) => {
      session.answer({}, [HOSTILE, 'second']);
      session.say(HOSTILE);
    });
    expect(lines).not.toMatch(ACTS);
    expect(lines.split('\n')).toHaveLength(4);
  });

  it('the answer with --json is one line with the same value', () => {
    const line = written(true, (session) => session.answer({ name: HOSTILE }, []));
    expect(line).not.toMatch(ACTS);
    expect(line.split('\n')).toHaveLength(2);
    expect(JSON.parse(line)).toEqual({ name: HOSTILE });
  });

  it('a time limit beyond the range of timers does not end the command immediately', async () => {
    let session: Session | undefined;
    written(false, (each) => {
      session = each;
      each.stopAfter(1e9);
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(session!.signal.aborted).toBe(false);
  });
});

describe('the command in the manifest', () => {
  const hostile = [
    "it's",
    'a b',
    '$HOME `id` $(id)',
    '*',
    '',
    'a\nb\tc',
    '\u001b[31m',
    '~',
    '=ls',
    '\\n',
    "\\'\u0007",
    '#x',
  ];

  it('arguments that a shell would change are quoted, and a shell reads the quoted command as it was given', () => {
    const command = hostile.map(shellQuoted).join(' ');
    expect(command).not.toMatch(ACTS);
    expect(command).not.toContain('\n');
    const read = execFileSync('bash', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' });
    expect(read.split('\0').slice(0, -1)).toEqual(hostile);
  });

  it('ordinary arguments are not quoted', () => {
    for (const plain of ['--rates', '2^-6', 'C:1.35,1.25', '--draws=3', 'runs/a_b-c.json', '50%']) {
      expect(shellQuoted(plain)).toBe(plain);
    }
  });
});
