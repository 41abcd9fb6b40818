/** The values of a pickle that JavaScript has no type for. */
import { printable } from '../printable.ts';

/** A class or function of Python: its module and name, joined by a dot. */
export class PickleGlobal {
  constructor(readonly name: string) {
    Object.freeze(this);
  }
}

/** The result of a call that was not carried out: an object of a class, or the value of a function. */
export class PickleObject {
  /** The items of a subclass of dict. */
  items: Map<unknown, unknown> | undefined;

  /** @param name of the class or function, for messages */
  constructor(readonly name: string) {}
}

/** Stands for a value that nothing needs: bytes, a text of more than 4096 bytes, an integer that a number cannot hold. */
export const SKIPPED = Object.freeze({ kind: 'skipped' });

/** What a value of a pickle is, in words for messages. */
export function describeValue(value: unknown): string {
  if (value instanceof Map) return 'a dictionary';
  if (Array.isArray(value)) return `a list of ${value.length} values`;
  if (value instanceof PickleObject) return `an object of ${printable(value.name)}`;
  if (value instanceof PickleGlobal) return `the name ${printable(value.name)}`;
  if (value === undefined) return 'missing';
  if (value === null) return 'None';
  if (value === SKIPPED) return 'bytes';
  return `a ${typeof value}`;
}
