/** Quotes arguments for a POSIX shell. */
import { printableJson } from '../printable.ts';

/** An argument, quoted if a shell would not read it as it stands. Control characters are written as bash, zsh and ksh read them. */
export function shellQuoted(argument: string): string {
  if (/^[\w@%+:,./^-][\w@%+=:,./^-]*$/.test(argument)) return argument;
  const isPrintable = !argument.includes('\n') && printableJson(argument) === argument;
  if (isPrintable) return `'${argument.replaceAll("'", "'\\''")}'`;
  const escaped = argument.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
  // The escapes of JSON are those of the shells.
  return `$'${printableJson(escaped).replaceAll('\n', '\\n')}'`;
}
