/** Files of an import that cannot be used. They are collected, so that one message names all of them. */
import { join } from 'node:path';
import { DataError } from '../../errors.ts';
import { LINE_LENGTH, printable, printableEnd } from '../../printable.ts';
import type { BadFile } from '../pack.ts';

/** Some files of an import cannot be used. The message has their number and the first few; `files` has all. */
export class BadFilesError extends DataError {
  readonly files: readonly BadFile[];

  /**
   * @param dir in which the files are
   * @param total number of files of the import, good and bad
   */
  constructor(dir: string, files: readonly BadFile[], total: number) {
    super(describeBadFiles(dir, files, total));
    this.files = files;
  }
}

function describeBadFiles(dir: string, files: readonly BadFile[], total: number): string {
  if (files.length === 1) {
    const [{ file, reason }] = files;
    const advice = 'fix or remove the file, or leave it out with data import --skip-bad';
    return `${printableEnd(join(dir, file), 100)}: ${printable(reason, 100)}; ${advice}`;
  }
  const count = files.length === total ? `none of ${total} files can` : `${files.length} of ${total} files cannot`;
  const start = `${printableEnd(dir, 60)}: ${count} be imported: `;
  const end = '; fix or remove them, or leave them out with data import --skip-bad';
  return `${start}${namesByReason(files, LINE_LENGTH - 'midas: '.length - start.length - end.length)}${end}`;
}

/** "an empty file: a/1.jpg, b/1.jpg; a web page: c/1.jpg and 7 more", in at most `room` UTF-16 code units. */
function namesByReason(files: readonly BadFile[], room: number): string {
  const groups = new Map<string, string[]>();
  for (const { file, reason } of files) {
    const short = printable(reason.replace(/^byte \d+: /, ''), 60);
    const names = groups.get(short) ?? [];
    names.push(printableEnd(file, 50));
    groups.set(short, names);
  }
  const items = [...groups].flatMap(([reason, names]) =>
    names.map((name, index) => (index === 0 ? `; ${reason}: ${name}` : `, ${name}`)),
  );
  let text = items[0].slice(2);
  let shown = 1;
  const rest = () => (shown < items.length ? ` and ${items.length - shown} more` : '');
  while (shown < items.length && text.length + items[shown].length + rest().length <= room) text += items[shown++];
  return `${text}${rest()}`;
}

/**
 * The file and the reason of an error that a reader threw: its message without the path, and without the advice at its end.
 *
 * @param path the file as the reader knows it, and so as the message names it
 */
export function badFile(file: string, path: string, error: DataError): BadFile {
  const unread = `cannot read ${printable(path, Number.POSITIVE_INFINITY)}: `;
  const [problem] = error.message.replace(unread, '').replace(`${path}: `, '').split('; ');
  return { file, reason: printable(problem.replaceAll(path, file)) };
}
