/**
 * Progress of the command line on stderr: a bar on a terminal, plain lines otherwise (for example into a log), and
 * nothing with --quiet. Other modules write the results, to stdout.
 */

import { styleText } from 'node:util';
import { SILENT } from '../experiments/store.ts';
import { printable, printableMessage } from '../printable.ts';
import { formatDuration } from '../results/results.ts';

/** The part of `process.stderr` that is used. */
export interface OutputStream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export interface ProgressOptions {
  quiet?: boolean;
  /** By default process.stderr. */
  stream?: OutputStream;
  /** Returns the milliseconds of a monotonic clock; by default performance.now. */
  now?: () => number;
}

export interface Progress {
  /**
   * Begins a piece of work; ends the one that is under way first.
   *
   * @param totalUnits amount of work, weighted by the caller so that every unit takes about the same time
   * @param alreadyDone units that an earlier run did; they count for the bar but not for the speed
   */
  start(label: string, totalUnits: number, alreadyDone?: number): void;
  /** Counts units as done now. @param note on the state of the work, shown beside the bar: 'epoch 3, loss 0.21' */
  advance(units: number, note?: string): void;
  /** Ends the piece of work, with a line that stays on the screen. */
  done(note?: string): void;
  /** Prints a line that stays on the screen, marked as a warning. */
  warn(line: string): void;
}

/** Shortest time between two plain lines of progress, and between two repaints of the bar, in milliseconds. */
const LINE_INTERVAL = 5000;
const PAINT_INTERVAL = 80;
const BAR_WIDTH = 24;

/**
 * Creates progress with an estimate of the remaining time, for one piece of work at a time. Nothing runs in the background:
 * the display changes only when `advance` is called, so call it often.
 */
export function createProgress(options: ProgressOptions = {}): Progress {
  const { quiet = false, stream = process.stderr, now = () => performance.now() } = options;
  if (quiet) return SILENT;
  const tty = stream.isTTY === true;
  const colour = tty && !process.env.NO_COLOR;
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    // `tty` is that of this stream; styleText's own validation would check process.stdout.
    colour ? styleText(format, text, { validateStream: false }) : text;

  let work: Work | undefined;
  let painted = false;
  let lastShown = Number.NEGATIVE_INFINITY;

  const clear = () => {
    if (painted) stream.write('\r\u001b[2K');
    painted = false;
  };
  const keep = (line: string) => {
    clear();
    stream.write(`${line}\n`);
  };
  const show = (force: boolean) => {
    if (!work) return;
    const time = now();
    if (!force && time - lastShown < (tty ? PAINT_INTERVAL : LINE_INTERVAL)) return;
    lastShown = time;
    if (!tty) {
      stream.write(`${plainLine(work, time)}\n`);
      return;
    }
    stream.write(`\r\u001b[2K${barLine(work, time, stream.columns ?? 80, style)}`);
    painted = true;
  };

  const progress: Progress = {
    start(label, totalUnits, alreadyDone = 0) {
      if (work) progress.done();
      work = new Work(printable(label, 80), totalUnits, alreadyDone, now());
      // A line in a log about the beginning would only repeat what the next line says.
      show(tty);
    },
    advance(units, note) {
      if (!work) return;
      work.advance(units, now(), note);
      show(tty && work.done >= work.total);
    },
    done(note) {
      if (!work) return;
      const time = formatDuration((now() - work.began) / 1000);
      keep(
        `${style('green', tty ? '✓' : 'done:')} ${work.label} ${style('dim', `(${time})`)}${note ? ` ${printable(note, 160)}` : ''}`,
      );
      work = undefined;
      lastShown = now();
    },
    warn(line) {
      keep(`${style('yellow', 'warning:')} ${printableMessage(line)}`);
      if (tty) show(true);
    },
  };
  return progress;
}

/** One piece of work and its speed. */
class Work {
  done: number;
  note = '';
  #last: number;
  // Units and milliseconds from which the speed is computed; older ones have exponentially smaller weights.
  #units = 0;
  #time = 0;

  constructor(
    readonly label: string,
    readonly total: number,
    alreadyDone: number,
    readonly began: number,
  ) {
    this.done = alreadyDone;
    this.#last = began;
  }

  advance(units: number, time: number, note?: string): void {
    if (note !== undefined) this.note = printable(note.replace(/\s+/g, ' '), 160);
    // A mere note, as of an epoch of a training within one unit, says nothing of the speed.
    if (units === 0) return;
    const elapsed = Math.max(time - this.#last, 0);
    this.#last = time;
    this.done += units;
    // Units differ in cost (a small layer, then a large one), so the recent past predicts best, but not a single unit: the
    // weight of older units decays with a time constant of 30 s, or of a quarter of the elapsed time if that is longer.
    const window = Math.max(30_000, (time - this.began) / 4);
    const keep = Math.exp(-elapsed / window);
    this.#units = this.#units * keep + units;
    this.#time = this.#time * keep + elapsed;
  }

  /** Estimated seconds left; undefined before the first unit is done, and while one takes longer than all that are known. */
  left(time: number): number | undefined {
    const sinceLast = Math.max(time - this.#last, 0);
    if (!(this.#units > 0) || this.#time === 0 || sinceLast > Math.max(this.#time, 10_000)) return undefined;
    return Math.max((this.total - this.done) * (this.#time / this.#units) - sinceLast, 0) / 1000;
  }

  share(): number {
    return this.total > 0 ? Math.min(Math.max(this.done / this.total, 0), 1) : 1;
  }
}

/** The parts of a line after its label: ['42 %', '2 min 10 s left', 'epoch 3']. */
function facts(work: Work, time: number): string[] {
  const left = work.left(time);
  // Rounded down, so that 100 % is shown only when all work is done.
  return [
    `${Math.floor(work.share() * 100)} %`,
    ...(work.done >= work.total ? [] : [left === undefined ? 'estimating' : `${formatDuration(left)} left`]),
    ...(work.note === '' ? [] : [work.note]),
  ];
}

function plainLine(work: Work, time: number): string {
  return `${work.label}: ${facts(work, time).join(', ')}`;
}

type Style = (format: Parameters<typeof styleText>[0], text: string) => string;

function barLine(work: Work, time: number, columns: number, style: Style): string {
  const width = Math.min(BAR_WIDTH, Math.max(columns - work.label.length - 30, 0));
  const filled = Math.round(work.share() * width);
  const [percent, ...rest] = facts(work, time);
  const tail = `${percent.padStart(5)}  ${rest.join('  ')}`;
  // One cell is left free: a full last column makes some terminals wrap, and then the bar cannot be erased.
  const room = columns - 1;
  const label = work.label.slice(0, room);
  const barRoom = room - label.length - 2;
  if (barRoom < width + 8) return label;
  const bar = style('cyan', '━'.repeat(filled)) + style('dim', '─'.repeat(width - filled));
  return `${label}  ${bar}${tail.slice(0, Math.max(barRoom - width, 0))}`;
}
