/** The first problem that a schema finds in what a user wrote, in words that say what to write instead. */
import * as v from 'valibot';
import { listed, printable } from './printable.ts';

/** Most names that a message lists where none is close to the one that was given. */
const ROOM = 140;

/**
 * The message of an issue, without its path: a missing field with what it means, an unknown one or an unknown choice with the
 * nearest that is known; the schema's own message for everything else.
 *
 * @param schema the one that found the issue
 */
export function schemaMessage(schema: v.GenericSchema, issue: v.BaseIssue<unknown>): string {
  const path = issue.path ?? [];
  const last = path.at(-1);
  if (issue.type === 'strict_object' && last && (issue.expected === 'never' || issue.received === 'undefined')) {
    const fields = fieldsAt(schema, path);
    const name = String(last.key);
    if (issue.expected === 'never') return `unknown field; ${nearest(name, [...fields.keys()])}`;
    return `missing; ${adviceFor(name, fields.get(name))}`;
  }
  if (issue.type === 'variant' || issue.type === 'picklist') {
    const choices = [...(issue.expected ?? '').matchAll(/"([^"]*)"/g)].map(([, choice]) => choice);
    if (choices.length === 0) return issue.message;
    if (issue.received === 'undefined') return `missing; give one of ${listed(choices, ROOM)}`;
    const { input } = issue;
    if (typeof input === 'string') return `unknown: ${printable(input, 40)}; ${nearest(input, choices)}`;
  }
  return issue.message;
}

type Fields = ReadonlyMap<string, v.GenericSchema>;

/** The fields of the objects that may stand where the last part of a path is, by their names. */
function fieldsAt(schema: v.GenericSchema, path: readonly v.IssuePathItem[]): Fields {
  let schemas = [schema];
  for (const { key, input } of path.slice(0, -1)) {
    schemas = schemas.flatMap((each) => objectsOf(each, input)).flatMap((each) => within(each, key));
  }
  const holder = path.at(-1)?.input;
  return new Map(
    schemas.flatMap((each) => objectsOf(each, holder)).flatMap((each) => Object.entries(entriesOf(each) ?? {})),
  );
}

type Inner = v.GenericSchema & {
  readonly wrapped?: v.GenericSchema;
  readonly options?: readonly v.GenericSchema[];
  readonly key?: string;
  readonly entries?: Readonly<Record<string, v.GenericSchema>>;
  readonly item?: v.GenericSchema;
  readonly items?: readonly v.GenericSchema[];
  readonly value?: v.GenericSchema;
  readonly literal?: unknown;
};

const entriesOf = (schema: v.GenericSchema) => (schema as Inner).entries;

/** The schemas that an input may be meant for: those inside of optional ones, and the alternatives of its kind. */
function objectsOf(schema: v.GenericSchema, input: unknown): v.GenericSchema[] {
  const { type, wrapped, options, key } = schema as Inner;
  if (wrapped) return objectsOf(wrapped, input);
  if ((type !== 'variant' && type !== 'union') || !options) return [schema];
  const all = options.flatMap((each) => objectsOf(each, input));
  if (key === undefined) return all;
  const chosen = (input as Readonly<Record<string, unknown>> | null)?.[key];
  return all.filter((each) => (entriesOf(each)?.[key] as Inner | undefined)?.literal === chosen);
}

function within(schema: v.GenericSchema, key: unknown): v.GenericSchema[] {
  const { entries, item, items, value } = schema as Inner;
  const inner = entries?.[String(key)] ?? items?.[Number(key)] ?? item ?? value;
  return inner ? [inner] : [];
}

/** What to give for a missing field. */
function adviceFor(name: string, schema: v.GenericSchema | undefined): string {
  const { literal, options } = (schema ?? {}) as { literal?: unknown; options?: readonly unknown[] };
  if (literal !== undefined) return `give ${JSON.stringify(literal)}`;
  const choices = options?.filter((each) => typeof each === 'string') ?? [];
  if (choices.length > 0) return `give one of ${listed(choices, ROOM)}`;
  const text = (schema && v.getDescription(schema as never))?.replace(/[.:;]( .*)?$/, '');
  return text ? `give ${name}: ${printable(`${text[0].toLowerCase()}${text.slice(1)}`, ROOM)}` : `give ${name}`;
}

/** The known name that is nearest to a name; undefined if none is similar. */
export function similarName(name: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((each) => ({ each, distance: distanceOf(plain(name), plain(each)) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(1, Math.floor(name.length / 3)) ? best.each : undefined;
}

/** Advice that names the known name that is meant, or lists all where none is similar. */
function nearest(name: string, known: readonly string[]): string {
  const best = similarName(name, known);
  if (best !== undefined) return `did you mean ${best}?`;
  return known.length === 0 ? 'leave it out' : `known are ${listed(known, ROOM)}`;
}

const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** Number of letters to insert, delete or replace (Levenshtein). Only the first 60 letters count. */
function distanceOf(a: string, b: string): number {
  const [from, to] = [a.slice(0, 60), b.slice(0, 60)];
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 0; i < from.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++) {
      next.push(Math.min(next[j] + 1, row[j + 1] + 1, row[j] + (from[i] === to[j] ? 0 : 1)));
    }
    row = next;
  }
  return row[to.length];
}
