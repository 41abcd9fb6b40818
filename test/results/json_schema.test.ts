import { expect, test } from 'vitest';
import { resultsJsonSchema } from '../../src/results/json_schema.ts';

interface Node {
  readonly description?: string;
  readonly properties?: Record<string, Node>;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
  readonly additionalProperties?: Node | boolean;
}

/** Paths of the fields without a description; the memory configuration has a schema of its own. */
function undescribed(node: Node, path: string): string[] {
  const inner = [node.items, ...(node.anyOf ?? []), ...(node.oneOf ?? [])].filter((each) => each !== undefined);
  return [
    ...inner.flatMap((each) => undescribed(each, path)),
    ...Object.entries(node.properties ?? {}).flatMap(([name, field]) => [
      ...(field.description ? [] : [`${path}.${name}`]),
      ...(name === 'memory' ? [] : undescribed(field, `${path}.${name}`)),
    ]),
  ];
}

test('the JSON Schema of results describes every field', () => {
  const schema = resultsJsonSchema() as Node;
  expect(Object.keys(schema.properties!)).toEqual(['schema', 'manifest', 'rows', 'summary', 'baselines']);
  expect(undescribed(schema, 'results')).toEqual([]);
  expect(schema.properties!.rows.description).toBeTruthy();
});
