/** Quotes arguments for a POSIX shell. */
import { printable } from '../printable.ts';

/** An argument, quoted if a shell would not read it as it stands. Control characters are written as bash, zsh and ksh read them. */
export function shellQuoted(argument: string): string {
  if (/^[\w@%+:,./^-][\w@%+=:,./^-]*$/.test(argument)) return argument;
  const isPlain = printable(argument) === argument;
  if (isPlain) return `'${argument.replaceAll("'", "'\\''")}'`;
  return `$'${printable(argument.replaceAll('\\', '\\\\').replaceAll("'", "\\'"))}'`;
}
