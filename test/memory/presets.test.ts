import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { FAULT_ENTRY_WORDS } from '../../src/gpu/structs.ts';
import { faultWords } from '../../src/injection/fault_entry.ts';
import { formatBits, storageBitsOf } from '../../src/memory/codec.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';
import { faultSources, meanErrorRate } from '../../src/memory/faults.ts';
import { findPreset, PRESETS } from '../../src/memory/presets.ts';
import { memoryJsonSchema } from '../../src/memory/schema.ts';
import { layerNames, modelSpec } from '../../src/models/specs.ts';
import { yangClassifier } from '../../src/models/yang.ts';

const MODELS = {
  mlp: layerNames(modelSpec('mlp', 3584, 40)),
  'the published classifier': layerNames(yangClassifier({ kind: 'yang-classifier', size: 64, ndf: 128, classes: 530 })),
};

it('names of presets are unique and descriptions are sentences', () => {
  expect(new Set(PRESETS.map(({ name }) => name)).size).toBe(PRESETS.length);
  for (const { name, description } of PRESETS) {
    expect(name).toMatch(/^[a-z0-9.-]+$/);
    expect(description, name).toMatch(/^[A-Z0-9b].*\.$/);
  }
});

describe.each(Object.entries(MODELS))('every preset fits %s', (_, layers) => {
  it.each(PRESETS)('the preset $name fits the layers and a fault table entry', ({ memory }) => {
    const config = parseMemoryConfig(memory, layers);
    expect(Object.keys(config.layers)).toEqual(layers);
    // At granularity `chip` every draw is another chip.
    const draws = config.granularity === 'chip' ? [0, 1, 2, 3, 4] : [0];
    for (const draw of draws) {
      for (const stored of Object.values(config.layers)) {
        if (stored.kind !== 'stored') throw new Error('presets store all layers');
        const sources = faultSources(stored, config.chip + draw);
        const storageBits = storageBitsOf(formatBits(stored.format));
        const { geometry, granularity } = config;
        const words = faultWords({ sources, storageBits, ecc: stored.ecc, geometry, granularity });
        expect(words).toHaveLength(FAULT_ENTRY_WORDS);
      }
    }
  });
});

it('the examples of EDEN have a mean rate of 0.1 % where half of the cells store a one', () => {
  for (const name of ['eden-em0', 'eden-em1', 'eden-em2', 'eden-em3']) {
    const { layers, chip } = parseMemoryConfig(findPreset(name).memory, ['fc1']);
    if (layers.fc1.kind !== 'stored') throw new Error(name);
    expect(meanErrorRate(layers.fc1, chip, name), name).toBeCloseTo(1e-3, 9);
  }
});

describe('names of unknown presets', () => {
  const cases: [string, RegExp][] = [
    ['eden-em4', /named eden-em4; the closest are eden-em0, eden-em1, eden-em2, eden-em3; midas memory list/],
    ['unifrom-0.01', /closest are uniform-0\.01, uniform-0\.0625; /],
    ['Int8', /closest are int8, /],
    ['sram', /closest are sram-/],
    ['cosmic', /named cosmic; midas memory list shows all names$/],
    ['', /midas memory list shows all names$/],
  ];
  it.each(cases)('the unknown name "%s" is refused with the closest names, if any are close', (name, message) => {
    expect(() => findPreset(name)).toThrow(ConfigError);
    expect(() => findPreset(name)).toThrow(message);
  });
});

it('the JSON Schema accepts every preset and refuses unknown kinds and keys', () => {
  interface Schema {
    readonly type?: string;
    readonly properties?: Record<string, Schema>;
    readonly required?: string[];
    readonly additionalProperties?: Schema | boolean;
    readonly oneOf?: Schema[];
    readonly anyOf?: Schema[];
    readonly items?: Schema;
    readonly const?: unknown;
    readonly enum?: unknown[];
  }
  /** Validates a value; supports the keywords of JSON Schema that this schema uses. */
  const accepts = (schema: Schema, value: unknown): boolean => {
    const choices = schema.oneOf ?? schema.anyOf;
    if (choices) return choices.some((choice) => accepts(choice, value));
    if ('const' in schema) return schema.const === value;
    if (schema.enum) return schema.enum.includes(value);
    if (Array.isArray(value)) return schema.type === 'array' && value.every((item) => accepts(schema.items!, item));
    if (typeof value !== 'object' || value === null) return schema.type !== 'object' && schema.type !== 'array';
    const { properties = {}, required = [], additionalProperties } = schema;
    return (
      required.every((key) => key in value) &&
      Object.entries(value).every(([key, inner]) => {
        const known = properties[key] ?? additionalProperties;
        return typeof known === 'object' && accepts(known, inner);
      })
    );
  };
  const schema = memoryJsonSchema() as Schema & { $schema: string };
  expect(schema.$schema).toMatch(/json-schema\.org/);
  expect(schema.required).toEqual(['layers']);
  expect(Object.keys(schema.properties!)).toEqual([
    'seed',
    'chip',
    'granularity',
    'path',
    'geometry',
    'place',
    'layers',
    'activations',
    'flips',
  ]);
  for (const { name, memory } of PRESETS) expect(accepts(schema, memory), name).toBe(true);
  expect(accepts(schema, { layers: { '*': { kind: 'stored', faults: [{ kind: 'cosmic' }] } } })).toBe(false);
  expect(accepts(schema, { layers: {}, granularty: 'chip' })).toBe(false);
});

it('the JSON Schema describes every field, every fault model and every number format', () => {
  interface Node {
    readonly description?: string;
    readonly properties?: Record<string, Node>;
    readonly additionalProperties?: Node | boolean;
    readonly oneOf?: Node[];
    readonly anyOf?: Node[];
    readonly items?: Node;
  }
  /** Paths of fields, and of the choices of a `oneOf`, without a description. */
  const undescribed = ({ properties = {}, additionalProperties, oneOf = [], anyOf = [], items }: Node, at: string) => {
    const found: string[] = [];
    const visit = (node: Node, path: string, needed: boolean) => {
      if (needed && !node.description && !node.oneOf) found.push(path);
      found.push(...undescribed(node, path));
    };
    for (const [name, field] of Object.entries(properties)) visit(field, `${at}.${name}`, true);
    if (typeof additionalProperties === 'object') visit(additionalProperties, `${at}.*`, true);
    for (const [i, choice] of oneOf.entries()) visit(choice, `${at}[${i}]`, true);
    for (const [i, choice] of anyOf.entries()) visit(choice, `${at}(${i})`, false);
    if (items) visit(items, `${at}[]`, items.properties !== undefined);
    return found;
  };
  const schema = memoryJsonSchema() as Node;
  expect(schema.description).toBeDefined();
  expect(undescribed(schema, 'memory')).toEqual([]);
});
