/** `midas explain`: says what a term, a column of a file, a field of a configuration or an option means. */
import { toJsonSchema } from '@valibot/to-json-schema';
import type { Command } from 'commander';
import { ATTACKS } from '../attacks/registry.ts';
import { RELEASE_DEFENCES, TRAINING_DEFENCES } from '../defences/registry.ts';
import { ConfigError } from '../errors.ts';
import { ExperimentConfig } from '../experiments/config.ts';
import { PRESETS } from '../memory/presets.ts';
import { memoryJsonSchema } from '../memory/schema.ts';
import { printable } from '../printable.ts';
import { CSV_FIELDS } from '../results/csv.ts';
import { GLOSSARY } from '../results/glossary.ts';
import { resultsJsonSchema } from '../results/json_schema.ts';
import { similarName } from '../schema_message.ts';
import type { Session } from './session.ts';

/** Characters of a line of text. */
const WIDTH = 78;

/** One meaning of a name. */
interface Explanation {
  /** All names under which it is found; the first is its own. */
  readonly names: readonly string[];
  /** What it is a name of: `option of run and attack`. */
  readonly what: string;
  readonly text: string;
  readonly isField?: boolean;
}

/**
 * Prints every meaning of a name, or the names of all terms.
 * @param program the command line, whose options are explained
 * @throws ConfigError for an unknown name, with the nearest that is known
 */
export function explainCommand(session: Session, program: Command, name: string | undefined): void {
  if (name === undefined) {
    const terms = GLOSSARY.map(({ term }) => term).sort((a, b) => a.localeCompare(b, 'en'));
    session.answer({ terms }, [
      ...terms,
      '',
      'midas explain TERM also takes columns, fields, options, attacks and memories.',
    ]);
    return;
  }
  const all = explanations(program);
  const found = meaningsOf(name, all);
  if (found.length === 0) {
    const similar = similarName(name, [...new Set(all.flatMap(({ names }) => names))]);
    const advice = similar === undefined ? 'midas explain lists the terms' : `did you mean ${similar}?`;
    throw new ConfigError(`explain ${printable(name, 40)}: not known; ${advice}`);
  }
  session.answer(
    found.map(({ names: [own], what, text }) => ({ name: own, what, text })),
    found.flatMap(({ names: [own], what, text }, i) => [
      ...(i > 0 ? [''] : []),
      `${own} (${what})`,
      ...program
        .createHelp()
        .boxWrap(text, WIDTH)
        .split('\n')
        .map((line) => `  ${line}`),
    ]),
  );
}

/**
 * The meanings of a name: an option where it begins with --, else all others. A field counts only where there is no other, because
 * terms and columns say the same in whole sentences.
 */
export function meaningsOf(name: string, all: readonly Explanation[]): Explanation[] {
  const isOption = name.startsWith('--');
  const [first, , last] = [/^rate\./, /^condition\./, /\.(low|high)$/].map((pattern) => pattern.test(name));
  const asked = first ? 'rate' : last ? 'confidence interval' : name.replace(/^condition\./, '');
  const named = all.filter(({ names }) => names.some((each) => plain(each) === plain(asked)));
  const found = named.filter(({ names: [own] }) => own.startsWith('--') === isOption);
  const meanings = found.length > 0 ? found : named;
  const better = meanings.filter(({ isField }) => !isField);
  return better.length > 0 ? better : meanings;
}

const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** Everything that can be explained; a text that several names share comes once. */
export function explanations(program: Command): Explanation[] {
  return [
    ...GLOSSARY.map(({ term, also = [], text }) => ({ names: [term, ...also], what: 'term', text })),
    ...columns(),
    ...fieldsOf(toJsonSchema(ExperimentConfig, { typeMode: 'input', errorMode: 'ignore' }), 'field of a configuration'),
    ...fieldsOf(memoryJsonSchema(), 'field of a memory'),
    ...fieldsOf(resultsJsonSchema(), 'field of results.json'),
    ...ATTACKS.map(({ kind, description }) => ({ names: [kind], what: 'attack', text: description })),
    ...TRAINING_DEFENCES.map(({ name, description }) => ({ names: [name], what: 'defence', text: description })),
    ...RELEASE_DEFENCES.map(({ kind, description }) => ({ names: [kind], what: 'defence', text: description })),
    ...PRESETS.map(({ name, description }) => ({ names: [name], what: 'memory', text: description })),
    ...options(program),
  ];
}

/** The columns of results.csv and summary.csv that have other names than their fields. */
function columns(): Explanation[] {
  const fields = fieldsOf(resultsJsonSchema(), '');
  return Object.entries(CSV_FIELDS).map(([column, path]) => {
    const texts = fields.filter(({ names }) => names.includes(path)).map(({ text }) => text);
    return { names: [column], what: 'column of results.csv', text: texts[0] };
  });
}

interface JsonSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema | readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly definitions?: Readonly<Record<string, JsonSchema>>;
}

/** The described fields of a schema, under their names and, inside of another field, also with the name of that: `energy.bytes`. */
function fieldsOf(schema: object, what: string): Explanation[] {
  const found = new Map<string, Explanation>();
  const visit = (node: JsonSchema, parent: string) => {
    for (const [name, child] of Object.entries(node.properties ?? {})) {
      const { description } = child;
      const names = [name, ...(parent === '' ? [] : [`${parent}.${name}`])];
      if (description !== undefined)
        found.set(`${names.at(-1)}\n${description}`, { names, what, text: description, isField: true });
      visit(child, name);
    }
    const { items = [], anyOf = [], oneOf = [], allOf = [], additionalProperties, $defs = {}, definitions = {} } = node;
    for (const each of [items].flat() as JsonSchema[]) visit(each, parent);
    for (const each of [...anyOf, ...oneOf, ...allOf]) visit(each, parent);
    if (typeof additionalProperties === 'object') visit(additionalProperties, parent);
    for (const each of [...Object.values($defs), ...Object.values(definitions)]) visit(each, parent);
  };
  visit(schema as JsonSchema, '');
  // The same text in several places is one meaning.
  const byText = new Map<string, Explanation>();
  for (const each of found.values()) {
    const key = `${each.names[0]}\n${each.text}`;
    const before = byText.get(key);
    byText.set(key, before ? { ...before, names: [...new Set([...before.names, ...each.names])] } : each);
  }
  return [...byText.values()];
}

/** The options of all commands; those of one name and text are explained together. */
function options(program: Command): Explanation[] {
  const found = new Map<string, { readonly name: string; readonly text: string; readonly commands: string[] }>();
  const visit = (command: Command, path: string) => {
    for (const { long, description, hidden } of command.options) {
      if (!long || hidden) continue;
      const known = found.get(`${long}\n${description}`) ?? { name: long, text: description, commands: [] };
      found.set(`${long}\n${description}`, { ...known, commands: [...known.commands, path] });
    }
    for (const each of command.commands) visit(each, `${path} ${each.name()}`.trim());
  };
  visit(program, '');
  const most = Math.max(4, program.commands.length / 2);
  return [...found.values()].map(({ name, text, commands }) => ({
    names: [name],
    what:
      commands.length >= most
        ? 'option of most commands'
        : `option of ${commands.filter(Boolean).join(', ') || 'midas'}`,
    text: `${text[0].toUpperCase()}${text.slice(1)}.`,
  }));
}
